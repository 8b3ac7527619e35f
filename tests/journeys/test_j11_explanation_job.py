"""J11: a served model is explained by a worker that is killed half way; what comes of it satisfies the gate.

Real are the model server (MLflow), the broker, the workers and their death, the database, the API and Chromium.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from audit.queries import history
from explain import queries, queueing, receipts
from explain.models import Analysis, ExplanationJob, State
from governance import packs, policies
from governance.models.evidence import Evidence
from registry import environments
from registry.models import Endpoint
from tests.conftest import CommittedDatabase
from tests.explain import served
from tests.explain.workers import until, valkey, worker
from tests.governance import scene
from tests.journeys import explained
from tests.journeys.lab import Lab

ROWS, BACKGROUND = 120, 100
NAME = "credit-staging"
RULES = {"XPL-001", "XPL-002"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The served candidate, and another model that is put in its place."""
    with ExitStack() as stack:
        yield tuple(  # type: ignore[misc]
            stack.enter_context(
                served.mlflow_server(
                    explained.trained(seed), explained.applicants(50, seed=2), tmp_path_factory.mktemp(name)
                )
            )
            for name, seed in (("candidate", 3), ("another", 4))
        )


@dataclass
class Works:
    """Where workers of the journey find their work; what they say goes to ``log``."""

    messages: Celery
    broker: str
    database: str
    log: Path

    def worker(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """A real worker in a process group of its own."""
        return worker(self.database, self.broker, self.log)

    def until(self, condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        """Wait for ``condition``; open jobs are announced again meanwhile, as the clock does."""
        again = lambda: self.messages.send_task("explain.tasks.redeliver_waiting", expires=2)  # noqa: E731
        until(condition, self.log, process, meanwhile=again)


@pytest.fixture
def works(committed_db: CommittedDatabase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Works]:
    """Jobs are announced to a broker of the journey's own."""
    with valkey() as broker:
        found = Works(Celery(broker=broker), broker, committed_db.url(), tmp_path / "worker.log")

        def sends(task: str) -> Callable[..., bool]:
            return lambda number, **_expires: bool(found.messages.send_task(task, args=[number]))

        monkeypatch.setattr(queueing, "enqueue", sends(queueing.RUN_JOB))
        monkeypatch.setattr(queueing, "enqueue_analysis", sends(queueing.RUN_ANALYSIS))
        yield found
        found.messages.close()


def serve(lab: Lab, url: str) -> Endpoint:
    """The candidate answers in staging; fifteen thousand rows a second, so that a job takes its time."""
    return environments.register_endpoint(
        NAME,
        environment=lab.bank.staging,
        version=lab.bank.new,
        url=url,
        output={"kind": "probability", "of_class": "1"},
        rows_per_second=15_000,
        by=scene.SET_UP,
    )


def question(lab: Lab, method: str, rows: int) -> dict[str, Any]:
    return {
        "version": lab.bank.new.subject,
        "endpoint": NAME,
        "method": method,
        "rows": [{"id": f"a{i}", "values": row} for i, row in enumerate(explained.records(rows, seed=5))],
        "background": explained.records(BACKGROUND, seed=6),
        "seed": 7,
    }


def asked(lab: Lab, method: str, rows: int) -> int:
    """Yusuf asks over the API; the number of the job."""
    with lab.api("yusuf") as api:
        answer = api.post("explanations", json=question(lab, method, rows))
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def again(lab: Lab, number: int) -> int:
    """Yusuf runs it again over the API; the number of the new job."""
    with lab.api("yusuf") as api:
        answer = api.post(f"explanations/{number}/rerun", json={})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def progress(lab: Lab, number: int) -> dict[str, Any]:
    with lab.api("yusuf") as api:
        found: dict[str, Any] = api.get(f"explanations/{number}").json()["progress"]
    return found


def enforce() -> None:
    """The bank's own version of the checklist of explanations: it blocks."""
    text = policies.shipped_packs()["explained-models"].partition("\ncases:\n")[0] + "\n"
    text = text.replace("version: 1\n", "version: 2\n").replace("severity: warn", "severity: block")
    scene.in_force(packs.draft(text, by=scene.actor("omar")))


def blocking(lab: Lab) -> set[str]:
    _code, answer, _told = lab.check("prod-uae")
    findings = answer["findings"]
    return {each["rule"] for each in findings if each["severity"] == "block" and each["outcome"] == "fail"}


def ended(number: int) -> bool:
    return not queries.find(number).open


def test_a_killed_worker_loses_nothing_and_both_methods_satisfy_the_gate(
    lab: Lab, models: tuple[str, str], works: Works
) -> None:
    endpoint = serve(lab, models[0])
    enforce()
    assert blocking(lab) == RULES
    number = asked(lab, "shap", ROWS)
    tab = lab.at("yusuf", f"/explanations/{number}")
    with works.worker() as first:
        works.until(lambda: progress(lab, number)["done"] > 0, first)
        watched(tab, number, works, first)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(20)
    kept = progress(lab, number)["done"]
    assert 0 < kept < ROWS
    with works.worker() as second:
        works.until(lambda: ended(number), second)
        whole, lime = asked(lab, "shap", ROWS), asked(lab, "lime", 20)
        works.until(lambda: ended(whole) and ended(lime), second)
        repeated = again(lab, number)
        works.until(lambda: ended(repeated), second)
        analysed_from_the_command_line(lab, works, second, number, whole)
    resumed_is_whole(number, whole)
    receipt_says_how_good(queries.find(number))
    assert queries.find(repeated).receipt["agreement"]["identical"]
    attached = {each.digest for each in Evidence.objects.filter(type="explanation", state="active")}
    assert {queries.find(each).receipt_digest for each in (number, whole, lime, repeated)} == attached
    assert blocking(lab) == set()
    shown_in_the_browser(lab, number, lime)
    endpoint.refresh_from_db()
    environments.change_endpoint(endpoint, output={"kind": "probability", "of_class": "0"}, by=scene.SET_UP)
    assert blocking(lab) == RULES, "the contract changed, so that the explanations are stale"


def analysed_from_the_command_line(lab: Lab, works: Works, process: subprocess.Popen[bytes], *pair: int) -> None:
    """The same rows twice, as drift: asked, followed and read without the browser."""
    first, second = map(str, pair)
    words = ("analyses", "request", "--kind", "drift", "--first", first, "--second", second)
    asked = lab.cli("yusuf", *words, "--output", "json")
    assert asked.returncode == 3, asked.stdout + asked.stderr
    number = json.loads(asked.stdout)["id"]
    works.until(lambda: Analysis.objects.get(pk=number).state in ("finished", "failed"), process)
    shown = lab.cli("yusuf", "analyses", "show", "--id", str(number))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert f"analysis:{number}  drift  explanation:{first} to explanation:{second}  finished" in shown.stdout
    assert f"analysis:{number}" in lab.cli("yusuf", "analyses", "list").stdout


def watched(tab: Any, number: int, works: Works, process: subprocess.Popen[bytes]) -> None:
    """The page shows how far it is and what it may cost, and goes on by itself."""
    part = tab.get_by_role("region", name="Progress")
    bar = part.get_by_role("progressbar")
    works.until(lambda: float(bar.get_attribute("value", timeout=10_000)) > 0, process)
    words = part.inner_text()
    assert str(ROWS) in words
    assert "2000000" in words.replace(",", "").replace("\u202f", ""), words
    assert ExplanationJob.objects.get(pk=number).state == State.RUNNING


def resumed_is_whole(number: int, whole: int) -> None:
    """Byte-equal to a job that nobody interrupted."""
    resumed, undisturbed = queries.find(number), queries.find(whole)
    assert (resumed.state, resumed.standing, resumed.error) == ("finished", "evidence", "")
    assert "explanation.resumed" in [entry.event for entry in history(resumed.subject)]
    assert resumed.receipt["digests"]["results"] == undisturbed.receipt["digests"]["results"]
    stored = [
        [(row.row_id, row.phi, row.se, row.base, row.fx) for row in queries.results(each)]
        for each in (resumed, undisturbed)
    ]
    assert stored[0] == stored[1]


def receipt_says_how_good(job: ExplanationJob) -> None:
    assert receipts.problems(job) == []
    assert job.receipt["faults"] == {}
    rows = queries.results(job)
    assert max(abs(row.base + sum(row.phi) - row.fx) for row in rows) < 1e-9
    assert all(row.converged for row in rows)
    assert job.receipt["probe"]["findings"] == []
    assert job.receipt["evals"] <= job.budget


def shown_in_the_browser(lab: Lab, shap: int, lime: int) -> None:
    """The version lists what attached; a promotion says by what it passed."""
    tab = lab.at("noor", lab.bank.new.get_absolute_url())
    words = tab.locator("body").inner_text()
    assert f"explanation:{shap}" in words
    assert f"explanation:{lime}" in words
    promotion = scene.request(lab.bank)
    tab = lab.at("omar", f"/promotions/{promotion.pk}")
    assert "Shown by an explanation:" in tab.locator("body").inner_text()


def test_a_model_that_changes_in_the_middle_ends_the_job_and_nothing_of_it_is_kept(
    lab: Lab, models: tuple[str, str], works: Works
) -> None:
    with explained.before(models[0]) as (url, front):
        serve(lab, url)
        number = asked(lab, "shap", ROWS)
        with works.worker() as process:
            works.until(lambda: progress(lab, number)["done"] > 0, process)
            front.target = models[1]
            works.until(lambda: ended(number), process)
    job = queries.find(number)
    assert job.state == State.VERSION_CHANGED, job.error
    assert "another model answers now" in job.error
    assert not job.results.exists()
    assert not Evidence.objects.filter(type="explanation").exists()
    assert blocking(lab) == set(), "the checklist only warns here"
    tab = lab.at("yusuf", f"/explanations/{number}")
    assert "another model answers now" in tab.locator("body").inner_text()
    assert history(job.subject)[0].event == "explanation.version_changed"
