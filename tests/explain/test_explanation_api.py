"""The explanation API: asking with every word, estimating, changing, reading results in every form."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from audit.queries import history
from explain import jobs
from explain.api import waiting
from explain.models import ExplanationJob, State
from tests import personas
from tests.explain.conftest import TRAINER, Perform, ask, register_endpoint, sample
from tests.explain.servers import serving

ClientFor = Callable[[str], Client]
pytestmark = pytest.mark.usefixtures("committed_db")
NOWHERE = "http://127.0.0.1:9/"


def body(served: Any, **changes: Any) -> dict[str, Any]:
    rows = [{"id": f"r{i}", "values": row} for i, row in enumerate(sample(2))]
    asked = {"version": served.version.subject, "endpoint": served.name, "method": "shap"}
    return asked | {"rows": rows, "background": sample(20), "seed": 3} | changes


def post(client: Client, path: str, sent: Any = None, **headers: str) -> Any:
    return client.post(f"/api/v1/explanations{path}", sent or {}, content_type="application/json", headers=headers)


@pytest.fixture
def finished(perform: Perform) -> Iterator[ExplanationJob]:
    with serving() as (url, _server):
        yield perform(ask(register_endpoint(url), count=3))


def test_every_word_of_the_question_is_kept(api_for: ClientFor) -> None:
    endpoint = register_endpoint(NOWHERE)
    words = {"level": "quick", "algorithm": "pair_perm", "scale": "log_odds", "groups": {"who": ["age", "income"]}}
    answer = post(api_for("ci"), "", body(endpoint, **words, budget=50_000, subjects={"r0": "customer-7"}))
    assert answer.status_code == 201, answer.json()
    told = answer.json()
    assert told["output"]["scale"] == "log_odds"
    assert told["settings"]["groups"] == words["groups"]
    assert (told["settings"]["level"], told["algorithm"], told["tol"]) == ("quick", "pair_perm", "0.1000")
    assert ExplanationJob.objects.get().budget == 50_000
    assert "customer-7" not in answer.content.decode()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"level": "sloppy"}, "level"),
        ({"algorithm": "magic"}, "algorithm"),
        ({"groups": {"who": ["shoe"]}}, "groups"),
        ({"sample": 5}, "sample"),
        ({"budget": 3}, "budget"),
        ({"subjects": {"nobody": "x"}}, "subjects"),
        ({"scale": "inches"}, "scale"),
    ],
)
def test_a_word_that_is_wrong_is_refused_with_its_field(changes: Any, field: str, api_for: ClientFor) -> None:
    endpoint = register_endpoint(NOWHERE)
    answer = post(api_for("ci"), "", body(endpoint, **changes))
    assert answer.status_code == 400, answer.content
    assert field in json.dumps(answer.json().get("errors", answer.json()))
    assert not ExplanationJob.objects.exists()


def test_an_estimate_writes_nothing(api_for: ClientFor, delivered: list[int]) -> None:
    endpoint = register_endpoint(NOWHERE)
    answer = post(api_for("ci"), "/estimate", body(endpoint, algorithm="pair_perm"))
    assert answer.status_code == 200, answer.content
    told = answer.json()
    assert (told["rows"], told["features"], told["background"]) == (2, 3, 20)
    assert 0 < told["model_rows_likely"] <= told["model_rows_most"] <= told["budget"]
    assert (ExplanationJob.objects.count(), delivered) == (0, [])


def test_a_million_rows_are_refused_before_they_are_read(api_for: ClientFor) -> None:
    endpoint = register_endpoint(NOWHERE)
    sent = json.dumps(body(endpoint, rows=[])).replace('"rows": []', '"rows": [' + '{"income":1},' * 999_999 + "{}]")
    began = time.monotonic()
    answer = api_for("ci").post("/api/v1/explanations", sent, content_type="application/json")
    assert answer.status_code in (400, 413, 422), answer.content[:300]
    assert answer.json()["detail"]
    assert time.monotonic() - began < 10
    few = post(api_for("ci"), "", body(endpoint, rows=[{"income": 1.0}] * 5_001))
    assert few.status_code == 400
    assert not ExplanationJob.objects.exists()


def test_a_job_is_paused_resumed_and_cancelled(api_for: ClientFor, delivered: list[int]) -> None:
    client, job = api_for("ci"), ask(register_endpoint(NOWHERE))
    assert post(client, f"/{job.pk}/pause", {"reason": "night"}).json()["state"] == "paused"
    assert client.get(f"/api/v1/explanations/{job.pk}/status").json()["state"] == "paused"
    assert post(client, f"/{job.pk}/pause").status_code == 409
    assert post(client, f"/{job.pk}/resume").json()["state"] == "queued"
    assert delivered == [job.pk, job.pk]
    assert post(client, f"/{job.pk}/resume").status_code == 409
    assert post(client, f"/{job.pk}/rerun").status_code == 409
    assert post(client, f"/{job.pk}/cancel").json()["state"] == "cancelled"
    assert post(client, "/999/pause").status_code == 404


def test_one_key_asks_once(api_for: ClientFor) -> None:
    endpoint, client = register_endpoint(NOWHERE), api_for("ci")
    first, second = (post(client, "", body(endpoint), **{"Idempotency-Key": "k-1"}) for _ in range(2))
    assert first.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    assert ExplanationJob.objects.count() == 1


def test_the_list_is_narrowed_also_by_the_id_of_a_prediction(api_for: ClientFor, finished: ExplanationJob) -> None:
    client = api_for("ci")
    queued = ask(finished.endpoint, method="lime")

    def listed(words: str) -> list[int]:
        return [each["id"] for each in client.get(f"/api/v1/explanations?{words}").json()["results"]]

    assert listed("prediction=r1") == [finished.pk], "the queued one explains no row yet"
    assert listed("prediction=nobody") == []
    assert listed("state=queued&method=lime&endpoint=scoring") == [queued.pk]
    assert listed("standing=evidence") == [finished.pk]
    assert client.get("/api/v1/explanations?state=lost").status_code == 400
    assert client.get("/api/v1/explanations?endpoint=nowhere").status_code == 404


def test_results_come_as_json_and_as_parquet(api_for: ClientFor, finished: ExplanationJob) -> None:
    from pyarrow import parquet

    client, place = api_for("ci"), f"/api/v1/explanations/{finished.pk}"
    told = client.get(f"{place}/result").json()
    assert told["columns"] == ["income", "age", "sector"]
    answer = client.get(f"{place}/result?format=parquet")
    assert answer["Content-Type"] == "application/vnd.apache.parquet"
    table = parquet.read_table(io.BytesIO(answer.content))
    assert table.schema.metadata[b"countersign.receipt_digest"].decode() == finished.receipt_digest
    for row, other in zip(told["results"], table.to_pylist(), strict=True):
        assert row["row_id"] == other["row_id"]
        assert row["phi"] == [other[f"phi.{name}"] for name in told["columns"]]
        assert row["se"] == [other[f"se.{name}"] for name in told["columns"]]
        assert (row["base"], row["fx"], row["digest"]) == (other["base"], other["fx"], other["digest"])
    receipt = client.get(f"{place}/receipt").json()
    assert receipt["digest"] == finished.receipt_digest
    assert client.get(f"{place}/result?format=pickle").status_code == 400


def test_what_has_not_finished_has_no_results(api_for: ClientFor) -> None:
    client, job = api_for("ci"), ask(register_endpoint(NOWHERE))
    for path in ("result", "result?format=parquet", "receipt", "figures/bars"):
        assert client.get(f"/api/v1/explanations/{job.pk}/{path}").status_code == 409


def test_figures_are_plotly_and_words(api_for: ClientFor, finished: ExplanationJob) -> None:
    client, place = api_for("ci"), f"/api/v1/explanations/{finished.pk}/figures"
    for name in ("bars", "beeswarm", "row?row=r1", "dependence?feature=age", "decision?row=r2"):
        told = client.get(f"{place}/{name}").json()
        assert told["figure"]["data"], name
        assert told["finding"], name
    for name in ("pie", "row?row=nobody", "dependence?feature=shoe"):
        assert client.get(f"{place}/{name}").status_code == 404


def test_a_rerun_agrees_to_the_bit(api_for: ClientFor, perform: Perform) -> None:
    client = api_for("ci")
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), count=2))
        made = post(client, f"/{job.pk}/rerun")
        assert made.status_code == 201, made.content
        assert made.json()["repeats"] == job.subject
        perform(ExplanationJob.objects.get(pk=made.json()["id"]))
    told = client.get(f"/api/v1/explanations/{made.json()['id']}/status").json()
    assert (told["state"], told["agreement"]["holds"], told["agreement"]["identical"]) == ("finished", True, True)
    assert post(client, f"/{job.pk}/rerun", {"seed": -1}).status_code == 400


def one(endpoint: Any, **changes: Any) -> dict[str, Any]:
    return body(endpoint, **changes) | {"rows": [{"id": "p-1", "values": sample(1)[0]}]}


def test_one_row_is_answered_when_a_worker_is_in_time(
    api_for: ClientFor, perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers: list[threading.Thread] = []

    def enqueue(job_id: int, *, expires: float | None = None) -> bool:
        def work() -> None:
            try:
                perform(ExplanationJob.objects.get(pk=job_id))
            finally:
                connection.close()

        workers.append(threading.Thread(target=work))
        workers[-1].start()
        return True

    monkeypatch.setattr("explain.queueing.enqueue", enqueue)
    with serving() as (url, _server):
        answer = post(api_for("ci"), "/one", one(register_endpoint(url), seconds=10, algorithm="pair_perm"))
        for each in workers:
            each.join()
    told = ExplanationJob.objects.get()
    assert answer.status_code == 200, (told.state, told.error)
    assert answer.json()["state"] == "finished"
    assert [row["row_id"] for row in answer.json()["results"]] == ["p-1"]
    recorded = [entry.event for entry in history(answer.json()["subject"])]
    assert {"explanation.requested", "explanation.finished"} <= set(recorded), "on record as every other"


def test_one_row_that_takes_longer_is_answered_with_its_address(api_for: ClientFor) -> None:
    began = time.monotonic()
    answer = post(api_for("ci"), "/one", one(register_endpoint(NOWHERE), seconds=0.3))
    assert 0.3 <= time.monotonic() - began < 5
    job = ExplanationJob.objects.get()
    assert (answer.status_code, answer["Location"], answer["Retry-After"]) == (202, job.get_absolute_url(), "2")


def test_nobody_waits_when_all_places_are_taken(api_for: ClientFor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PLACES", threading.BoundedSemaphore(1))
    assert waiting._PLACES.acquire(blocking=False)
    began = time.monotonic()
    answer = post(api_for("ci"), "/one", one(register_endpoint(NOWHERE), seconds=10))
    assert answer.status_code == 202
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("changes", [{"seconds": 11}, {"seconds": -1}, {"rows": []}])
def test_one_row_is_one_row_within_ten_seconds(changes: Any, api_for: ClientFor) -> None:
    answer = post(api_for("ci"), "/one", one(register_endpoint(NOWHERE)) | changes)
    assert answer.status_code == 400
    assert not ExplanationJob.objects.exists()


def test_who_may_only_read_changes_nothing(api_for: ClientFor) -> None:
    job = ask(register_endpoint(NOWHERE), by=TRAINER)
    client = api_for("noor")
    assert client.get(f"/api/v1/explanations/{job.pk}/status").status_code == 200
    for path in ("", "/one", "/estimate", f"/{job.pk}/pause", f"/{job.pk}/resume", f"/{job.pk}/rerun"):
        assert post(client, path, body(job.endpoint)).status_code == 403, path
    jobs.pause(job, by=TRAINER)
    assert post(client, f"/{job.pk}/resume").status_code == 403
    assert ExplanationJob.objects.get().state == State.PAUSED


def test_a_person_is_erased_by_those_who_may(finished: ExplanationJob, api_for: ClientFor) -> None:
    sent = {"subject": "customer-9", "reason": "Request 12"}
    assert post(api_for("dana"), "/erasure", sent).status_code == 403  # a token never erases
    yusuf, dana = Client(), Client()
    yusuf.force_login(personas.get("yusuf"))
    dana.force_login(personas.get("dana"))
    assert post(yusuf, "/erasure", sent).status_code == 403
    assert post(dana, "/erasure", sent).status_code == 404
    assert post(dana, "/erasure", {"subject": "customer-9"}).status_code == 400
    job = ask(finished.endpoint, subjects={"r0": "customer-9"})
    assert post(dana, "/erasure", sent).status_code == 409
    jobs.cancel(job, by=TRAINER)
    answer = post(dana, "/erasure", sent)
    assert (answer.status_code, answer.json()) == (200, {"jobs": 1, "rows": 1})
    assert history(job.subject)[0].event == "explanation.erased"


@pytest.mark.parametrize("change", ["cancel", "pause", "resume"])
def test_a_change_answers_how_far_it_is_and_no_values(
    change: str, api_for: ClientFor, perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask(register_endpoint(NOWHERE))
    if change == "resume":
        post(api_for("ci"), f"/{job.pk}/pause")
    answer = post(api_for("ci"), f"/{job.pk}/{change}")
    assert answer.status_code == 200, answer.content
    assert not {"results", "receipt", "rows"} & set(answer.json())


def test_another_class_on_the_page_is_another_place_in_the_answer(client_for: ClientFor) -> None:
    from registry import environments

    endpoint = register_endpoint(NOWHERE)
    output = {"kind": "probability", "of_class": "1", "index": 1}
    endpoint = environments.change_endpoint(endpoint, output=output, by=TRAINER)
    address = f"/environments/{endpoint.environment.slug}/endpoints/{endpoint.name}/change"
    form = {"version": endpoint.version.subject, "url": endpoint.url, "protocol": "mlflow", "output": "probability"}
    form |= {"concurrency": "2", "timeout": "30", "options": "{}"}
    for chosen, expected in (("1", 1), ("0", None)):
        answer = client_for("yusuf").post(address, form | {"of_class": chosen})
        assert answer.status_code == 302, answer.content.decode()
        endpoint.refresh_from_db()
        assert (endpoint.output["of_class"], endpoint.output.get("index")) == (chosen, expected)
