"""Asking for analyses and reasons, and reading them, in the browser's way and the program's."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.test import Client

from audit.refusals import Refused
from explain import analyses, reasons, tasks
from explain.methods import fairness
from explain.models import Analysis, ExplanationJob
from tests.explain.conftest import TRAINER, ask, register_endpoint
from tests.explain.finished import finished, result

ClientFor = Callable[[str], Client]
pytestmark = pytest.mark.usefixtures("committed_db")
COUNT = 64
GROUPS = {f"r{i}": "hill" if i % 2 else "shore" for i in range(COUNT)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyses.queueing, "enqueue_analysis", lambda number, **_how: True)
    monkeypatch.setattr(fairness, "RESAMPLES", 10)


@pytest.fixture
def job() -> ExplanationJob:
    phi = np.random.default_rng(3).normal([0.3, 0.1, 0.0], 0.1, size=(COUNT, 3))
    return finished(register_endpoint("http://127.0.0.1:9"), {f"r{i}": each.tolist() for i, each in enumerate(phi)})


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(f"/api/v1/{path}", body, content_type="application/json")


def test_a_program_asks_for_an_analysis_and_reads_it(api_for: ClientFor, job: ExplanationJob) -> None:
    client = api_for("ci")
    body = {"kind": "fairness", "first": job.pk, "threshold": 0.6, "groups": GROUPS, "attribute": "place"}
    answer = post(client, "analyses", body)
    assert answer.status_code == 201, answer.json()
    made = answer.json()
    assert (made["state"], made["first"], made["second"]) == ("queued", job.subject, None)
    assert "hill" not in answer.content.decode()
    tasks.run_analysis(made["id"])
    read = client.get(f"/api/v1/analyses/{made['id']}").json()
    assert (read["state"], read["standing"]) == ("finished", "evidence")
    assert [group["name"] for group in read["result"]["groups"]] == ["hill", "shore"]
    listed = client.get("/api/v1/analyses").json()["results"]
    assert [each["id"] for each in listed] == [made["id"]]
    assert "result" not in listed[0]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"kind": "magic"}, 400),
        ({"first": 999999}, 404),
        ({"first": "x"}, 400),
        ({"second": 999999}, 404),
        ({"threshold": "high"}, 400),
        ({"threshold": None}, 400),
        ({"groups": {"r0": "hill"}}, 400),
        ({"groups": "hill"}, 400),
        ({"labels": {"r0": "x"}}, 400),
        ({"column": "moon", "groups": None}, 400),
        ({"seed": -1}, 400),
    ],
)
def test_a_wrong_request_is_a_sentence_never_a_500(
    api_for: ClientFor, job: ExplanationJob, changes: dict[str, Any], status: int
) -> None:
    body = {"kind": "fairness", "first": job.pk, "threshold": 0.6, "groups": GROUPS, **changes}
    answer = post(api_for("ci"), "analyses", body)
    assert answer.status_code == status, answer.content
    assert answer.json()["detail"]
    assert not Analysis.objects.exists()


ASKED = {"row": "r1", "adverse": "higher", "baseline": "approved applicants", "baseline_version": "2026-10"}


def test_the_reasons_of_a_row_with_texts(api_for: ClientFor, job: ExplanationJob) -> None:
    texts = {"income": {"below": "Income is low", "above": "Income is high"}, "age": {"other": "Age"}}
    client = api_for("ci")
    answer = post(client, f"explanations/{job.pk}/reasons", {**ASKED, "templates": texts, "protected": ["age"]})
    assert answer.status_code == 200, answer.json()
    found = answer.json()
    assert found["reasons"][0]["feature"] == "income"
    assert found["reasons"][0]["text"].startswith("Income is")
    assert [flag["feature"] for flag in found["flags"]] == ["age"]
    assert found["held"]
    assert any("protected attribute age" in sentence for sentence in found["sentences"])
    assert found["baseline"] == {
        "name": "approved applicants",
        "version": "2026-10",
        "digest": job.digests["background"],
    }
    without = client.get(f"/api/v1/explanations/{job.pk}/reasons", {**ASKED, "protected": "age, sector"})
    assert without.status_code == 200, without.json()
    assert "age" not in {reason["feature"] for reason in without.json()["reasons"]}
    other_row = post(
        client, f"explanations/{job.pk}/reasons", {**ASKED, "row": "r2", "templates": texts, "protected": ["age"]}
    )
    assert other_row.json()["rules"] == found["rules"] != without.json()["rules"]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"row": "r999"}, 404, "r999"),
        ({"adverse": "up"}, 400, "adverse"),
        ({"baseline": ""}, 400, "baseline"),
        ({"threshold": "x"}, 400, "threshold"),
        ({"threshold": "nan"}, 400, ""),
        ({"threshold": 5}, 422, "adversely"),
        ({"protected": "moon"}, 400, "moon"),
        ({"scale": "log_odds"}, 422, "log_odds"),
        ({"most": 5}, 400, "most"),
    ],
)
def test_reasons_that_cannot_be_given(
    api_for: ClientFor, job: ExplanationJob, changes: dict[str, Any], status: int, words: str
) -> None:
    answer = api_for("ci").get(f"/api/v1/explanations/{job.pk}/reasons", {**ASKED, **changes})
    assert answer.status_code == status, answer.content
    assert words in answer.content.decode()


@pytest.mark.parametrize("fault", ["batch_dependent", "parity_failed", "not_additive", "disagrees"])
def test_values_that_something_contradicts_are_no_reasons(job: ExplanationJob, fault: str) -> None:
    asked = reasons.Asked(adverse="higher", baseline="approved applicants")
    assert reasons.of_row(job, "r1", asked).reasons
    job.receipt = {**job.receipt, "faults": {fault: 1}}
    with pytest.raises(Refused, match="gives no reasons") as caught:
        reasons.of_row(job, "r1", asked)
    assert caught.value.code == "explanation.untrue"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"templates": {"age": {"up": "x"}}}, 400),
        ({"templates": {"moon": {"other": "x"}}}, 400),
        ({"templates": {"age": "x"}}, 400),
        ({"templates": {"age": {"other": "x" * 301}}}, 400),
        ({"groups": {"": ["age"]}}, 422),
        ({"groups": {"person": []}}, 422),
        ({"groups": {"person": ["moon"]}}, 422),
        ({"groups": {"age": ["income"]}}, 422),
        ({"protected": ["person"]}, 400),
        ({"row": "r1\x00"}, 400),
        ({"threshold": 1e308 * 10}, 400),
    ],
)
def test_texts_and_groups_that_mean_nothing(
    api_for: ClientFor, job: ExplanationJob, changes: dict[str, Any], status: int
) -> None:
    answer = post(api_for("ci"), f"explanations/{job.pk}/reasons", {**ASKED, **changes})
    assert answer.status_code == status, answer.content
    assert answer.json()["detail"]


def test_reasons_of_lime_and_of_unfinished_rows_are_refused(api_for: ClientFor) -> None:
    endpoint = register_endpoint("http://127.0.0.1:9")
    client = api_for("ci")
    drafts = finished(endpoint, {"r1": result("r1", [0.3, 0.1, 0.0], converged=False)}, rows={"r1": _row()})
    answer = client.get(f"/api/v1/explanations/{drafts.pk}/reasons", ASKED)
    assert (answer.status_code, answer.json()["code"]) == (422, "explanation.reasons.not_converged")
    waiting = ask(endpoint, count=2)
    assert client.get(f"/api/v1/explanations/{waiting.pk}/reasons", ASKED).status_code == 409
    lime = finished(endpoint, {"r1": [0.3, 0.1, 0.0]}, rows={"r1": _row()}, method="lime")
    assert client.get(f"/api/v1/explanations/{lime.pk}/reasons", ASKED).json()["code"] == "explanation.reasons.lime"


def _row() -> dict[str, Any]:
    return {"income": 20.0, "age": 30, "sector": "trade"}


def test_two_explanations_beside_each_other(api_for: ClientFor, job: ExplanationJob) -> None:
    client = api_for("ci")
    answer = client.get("/api/v1/explanations/compare", {"a": job.pk, "b": job.pk})
    assert answer.status_code == 200, answer.json()
    assert answer.json()["spearman"] == 1.0
    assert len(answer.json()["rows"]) == COUNT
    other = ask(job.endpoint, count=2)
    assert client.get("/api/v1/explanations/compare", {"a": job.pk, "b": other.pk}).status_code == 409
    assert client.get("/api/v1/explanations/compare", {"a": job.pk, "b": 10**9}).status_code == 404
    assert client.get("/api/v1/explanations/compare", {"a": job.pk}).status_code == 400


def lines(groups: dict[str, str], **columns: Any) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(["row", "group", *columns])
    writer.writerows([name, group, *columns.values()] for name, group in groups.items())
    return written.getvalue()


def form(job: ExplanationJob, **changes: Any) -> dict[str, Any]:
    asked = {"kind": "fairness", "first": job.pk, "threshold": "0.6", "favourable": "higher", "people": lines(GROUPS)}
    return {**asked, **changes}


def test_a_person_asks_by_the_form_and_reads_the_page(client_for: ClientFor, job: ExplanationJob) -> None:
    client = client_for("yusuf")
    sent = client.post("/analyses/new", form(job, people=lines(GROUPS, outcome=1), attribute="place"))
    assert sent.status_code == 302, sent.content.decode()[-2000:]
    waiting = client.get(sent["Location"]).content.decode()
    assert "Waiting for a worker" in waiting
    tasks.run_analysis(Analysis.objects.get().pk)
    page = client.get(sent["Location"]).content.decode()
    assert "Selection rates differ" in page
    assert "Counts as evidence" in page
    assert "no outcomes were given" not in page
    assert "hill" in page
    assert "too few to say" in page  # equalised odds: nobody's outcome is 0
    assert client.get("/analyses").content.decode().count('scope="row"') == 1
    assert "Analysis" in client_for("noor").get(sent["Location"]).content.decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"people": "r0,hill"}, "first line"),
        ({"people": "row,group\nr0"}, "Line 2"),
        ({"people": "row,group,outcome\nr0,hill,2"}, "Line 2"),
        ({"people": "row,group\nr0,hill\nr0,shore"}, "twice"),
        ({"people": ""}, "name the column"),
        ({"threshold": ""}, "decision turns"),
        ({"threshold": "nan"}, ""),
        ({"first": "99999999"}, "no explanation"),
        ({"first": ""}, "required"),
        ({"kind": "drift"}, "second explanation"),
    ],
)
def test_a_wrong_form_says_so_at_the_field(
    client_for: ClientFor, job: ExplanationJob, changes: dict[str, Any], words: str
) -> None:
    answer = client_for("yusuf").post("/analyses/new", form(job, **changes))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Analysis.objects.exists()


def test_each_kind_has_its_page(client_for: ClientFor, job: ExplanationJob) -> None:
    again = finished(job.endpoint, {f"r{i}": [0.1, 0.3, 0.0] for i in range(COUNT)})
    for kind in ("comparison", "drift"):
        asked = analyses.request(kind, job, again, by=TRAINER)
        tasks.run_analysis(asked.pk)
        page = client_for("yusuf").get(f"/analyses/{asked.pk}").content.decode()
        assert "Counts as evidence" in page
        assert page.count("<table") >= 2
    failed = analyses.request("fairness", job, threshold=0.5, groups=dict.fromkeys(GROUPS, "all"), by=TRAINER)
    tasks.run_analysis(failed.pk)
    assert "all: 64" in client_for("yusuf").get(f"/analyses/{failed.pk}").content.decode()
    assert client_for("yusuf").get("/analyses/99999").status_code == 404


def test_who_may_not_request_may_not(client_for: ClientFor, api_for: ClientFor, job: ExplanationJob) -> None:
    assert client_for("noor").post("/analyses/new", form(job)).status_code == 403
    assert client_for("noor").get("/analyses").status_code == 200
    assert Client().get("/analyses").status_code == 302
    assert Client().get("/api/v1/analyses").status_code == 401


def test_the_addresses_import_nothing_that_only_workers_need() -> None:
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup();"
        "import config.urls, explain.api.analyses, explain.pages.analyses;"
        "found = {'sklearn', 'fairlearn', 'shap', 'lime', 'numba'} & set(sys.modules);"
        "sys.exit(str(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_lost_message_is_sent_again(job: ExplanationJob, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = analyses.request("fairness", job, threshold=0.5, groups=GROUPS, by=TRAINER)
    sent: list[int] = []
    monkeypatch.setattr(tasks.queueing, "enqueue_analysis", lambda number, **_how: sent.append(number) or True)
    assert tasks.redeliver_analyses() == 0
    monkeypatch.setattr(tasks, "REDELIVER_AFTER", -1.0)
    assert (tasks.redeliver_analyses(), sent) == (1, [asked.pk])
    tasks.run_analysis(asked.pk)
    assert tasks.redeliver_analyses() == 0
