"""Pausing, waiting for the endpoint, helping hands, running again, samples, and the rows' seals."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from audit.queries import history
from audit.refusals import BadInput, Conflict, Refused
from explain import chunks, engines, inputs, jobs, queries, queueing, receipts, tasks
from explain.methods.quality import RowResult
from explain.models import ExplanationJob, Standing, State
from registry import environments, versions
from tests.explain.conftest import TRAINER, Perform, ask, register_endpoint, sample
from tests.explain.servers import Row, healthy, serving
from tests.explain.test_jobs import stored

pytestmark = pytest.mark.usefixtures("committed_db")


Clock = Callable[[float], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Call it with hours, and for jobs it is so much later."""
    later = [timedelta(0)]

    def pass_(hours: float) -> None:
        later[0] += timedelta(hours=hours)

    monkeypatch.setattr(jobs, "timezone", SimpleNamespace(now=lambda: timezone.now() + later[0]))
    return pass_


def interrupting(job: ExplanationJob, at: int, change: Any) -> Any:
    """A healthy model, during whose answer number ``at`` somebody changes the job."""

    def act() -> None:
        change(ExplanationJob.objects.get(pk=job.pk), by=TRAINER)
        connection.close()

    def behave(rows: list[Row], count: int) -> Any:
        if count == at:
            thread = threading.Thread(target=act)
            thread.start()
            thread.join()
        return healthy(rows, count)

    return behave


def test_a_paused_job_keeps_what_it_has_and_goes_on_with_the_same_bytes(
    perform: Perform, delivered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "CHUNK_ROWS", 1)
    monkeypatch.setattr(chunks, "CHECKPOINT", 0.0)
    with serving() as (url, server):
        endpoint = register_endpoint(url)
        whole = perform(ask(endpoint, count=20))
        job = ask(endpoint, count=20)
        server.behaviour = interrupting(job, server.count + 40, jobs.pause)
        job = perform(job)
        assert job.state == State.PAUSED
        assert 0 < job.results.count() < 20
        assert job.pk not in ExplanationJob.objects.unfinished().values_list("pk", flat=True)
        assert perform(job).state == State.PAUSED  # a late message does not wake it
        jobs.resume(job, by=TRAINER)
        assert delivered[-1] == job.pk
        job = perform(job)
    assert stored(job) == stored(whole)
    said = [entry.event for entry in history(job.subject)]
    assert said[:4] == [f"explanation.{word}" for word in ("finished", "started", "continued", "paused")]
    with pytest.raises(Conflict):
        jobs.pause(job, by=TRAINER)


def test_a_silent_endpoint_lets_the_job_wait_and_the_clock_asks_again(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explain.serving.transport.random.Random.random", lambda _self: -0.5)
    with serving(lambda _rows, _n: (503, b"starting", {})) as (url, server):
        job = perform(ask(register_endpoint(url)))
        assert (job.state, job.results.count()) == (State.WAITING, 0)
        assert job.retry_at is not None
        assert job.retry_at > timezone.now()
        assert "503" in job.error
        assert history(job.subject)[0].event == "explanation.waiting"
        waiting = ExplanationJob.objects.unfinished()
        assert not waiting.exists()
        monkeypatch.setattr("explain.models.jobs.timezone.now", lambda: job.retry_at + timedelta(seconds=1))
        assert ExplanationJob.objects.unfinished().exists()
        monkeypatch.undo()
        server.behaviour = healthy
        job = perform(job)
    assert (job.state, job.error, job.retry_at) == (State.FINISHED, "", None)


def test_an_endpoint_that_was_silent_for_a_day_ends_the_job(perform: Perform, clock: Clock) -> None:
    job = ask(register_endpoint("http://127.0.0.1:9/"))
    for hours in (1, 12, 11.9):  # what was before the first silence does not count
        clock(hours)
        job = perform(job)
        assert job.state == State.WAITING, job.error
    clock(0.2)
    job = perform(job)
    assert job.state == State.FAILED
    assert history(job.subject)[0].facts["code"] == "endpoint.silent_for_a_day"


def test_days_of_work_and_of_pause_are_no_silence(clock: Clock) -> None:
    job = ask(register_endpoint("http://127.0.0.1:9/"))

    def silent() -> ExplanationJob:
        begun = jobs.begin(job.pk, alone=True, by=jobs.WORKER)
        assert begun is not None
        return jobs.wait(begun, "Nobody answers.", code="endpoint.unreachable", by=jobs.WORKER)

    assert jobs.begin(job.pk, alone=True, by=jobs.WORKER) is not None
    clock(30)  # of work
    assert silent().state == State.WAITING
    clock(20)
    begun = jobs.begin(job.pk, alone=True, by=jobs.WORKER)
    assert begun is not None
    done = RowResult("r0", phi=(0.1, 0.2, 0.3), se=(0.0, 0.0, 0.0), base=0.1, fx=0.7, evals=9, rounds=2, converged=True)
    jobs.checkpoint(begun, [done], {"r0": 0})  # it was answered
    clock(20)
    paused = silent()
    assert paused.state == State.WAITING
    jobs.pause(paused, by=TRAINER)
    clock(100)
    jobs.resume(paused, by=TRAINER)
    assert silent().state == State.WAITING
    clock(23)
    assert silent().state == State.WAITING
    clock(2)
    assert silent().state == State.FAILED


def test_a_second_worker_takes_other_chunks_and_nothing_is_explained_twice(
    perform: Perform, monkeypatch: pytest.MonkeyPatch, delivered: list[int]
) -> None:
    monkeypatch.setattr(engines, "CHUNK_ROWS", 1)
    monkeypatch.setattr(engines, "IN_FLIGHT", 1)
    monkeypatch.setattr("explain.preparing.SENDERS", 1)
    with serving() as (url, server):
        endpoint = register_endpoint(url)
        whole = perform(ask(endpoint, count=12))
        alone = server.rows
        server.rows = 0
        job = ask(endpoint, count=12)
        helped: list[str] = []

        def help_once(rows: list[Row], count: int) -> Any:
            if not helped and ExplanationJob.objects.get(pk=job.pk).plan:
                helped.append("")
                thread = threading.Thread(target=lambda: (helped.append(tasks.run_job(job.pk)), connection.close()))
                thread.start()
                thread.join()
            connection.close()
            return healthy(rows, count)

        server.behaviour = help_once
        delivered.clear()
        job = perform(job)
    assert delivered.count(job.pk) == 1  # one more worker was asked for: two requests may be in flight
    assert stored(job) == stored(whole)
    assert job.receipt["digests"]["results"] == whole.receipt["digests"]["results"]
    assert helped[1] in (State.FINISHED, "ignored")
    assert job.results.count() == 12
    assert server.rows < 1.5 * alone


def test_a_question_that_is_run_again_agrees_bit_by_bit(perform: Perform) -> None:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url)))
        again = perform(jobs.rerun(job, by=TRAINER))
        other_seed = perform(jobs.rerun(job, seed=8, by=TRAINER))
    assert (again.state, again.error) == (State.FINISHED, "")
    said = again.receipt["agreement"]
    assert (said["with"], said["rows"], said["agree"], said["identical"]) == (job.subject, 6, 6, True)
    assert again.digests["rows"] == job.digests["rows"]
    assert receipts.problems(again) == []
    assert other_seed.receipt["agreement"]["holds"] is True
    assert history(again.subject)[0].facts["agreement"]["holds"] is True


def test_a_rerun_that_does_not_agree_says_so(perform: Perform) -> None:
    with serving() as (url, server):
        job = perform(ask(register_endpoint(url)))
        server.behaviour = lambda rows, count: (200, _steeper(rows), {})
        again = perform(jobs.rerun(job, by=TRAINER))
    assert again.receipt["agreement"]["holds"] is False
    assert again.receipt["agreement"]["identical"] is False


def _steeper(rows: list[Row]) -> bytes:

    high = [min(0.99, 0.01 + float(row["income"] or 0) / 120) if row["income"] > 0 else 0.01 for row in rows]
    return json.dumps({"predictions": [[1 - p, p] for p in high]}).encode()


def test_what_cannot_be_run_again_is_refused(perform: Perform) -> None:
    with serving() as (url, _server):
        endpoint = register_endpoint(url)
        waiting = ask(endpoint)
        with pytest.raises(Conflict):
            jobs.rerun(waiting, by=TRAINER)
        job = perform(waiting)
        newer = versions.register_version(
            endpoint.version.model, digest="sha256:" + "b" * 64, trained_by=["yusuf"], by=TRAINER
        )
        environments.change_endpoint(endpoint, version=newer, by=TRAINER)
        with pytest.raises(Refused):
            jobs.rerun(queries.find(job.pk), by=TRAINER)


def test_a_sample_stands_for_all_rows(perform: Perform) -> None:
    rows = {f"r{i}": row for i, row in enumerate(sample(120))}
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), rows=rows, sample=30))
        other_seed = perform(jobs.rerun(job, seed=8, by=TRAINER))
    assert (job.state, job.total, job.asked_rows) == (State.FINISHED, 30, 120)
    scores = sorted(row.fx for row in queries.results(job))
    assert scores[0] < 0.25 < scores[-1]
    assert receipts.problems(job) == []
    assert other_seed.plan["selected"] == job.plan["selected"]
    assert other_seed.receipt["agreement"]["holds"] is True


def test_the_budget_is_shared_by_the_rows_that_are_explained(perform: Perform) -> None:
    rows = {f"r{i}": row for i, row in enumerate(sample(600))}
    with serving() as (url, _server):
        # a share for each of 600 rows would not pay for two rounds
        job = perform(ask(register_endpoint(url), rows=rows, sample=30, budget=30_000))
    assert (job.state, job.error) == (State.FINISHED, "")


def test_rows_are_sealed_and_the_question_says_nothing_about_them(perform: Perform) -> None:
    rows = {"a": {"income": 918273645.5, "age": 33, "sector": "trade"}}
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), rows=rows, subjects={"a": "customer-9"}))
    assert inputs.cells_of(job, "a") == (918273645.5, 33, "trade")
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(i)::text, body FROM explain_explanationinput i WHERE job_id = %s", [job.pk])
        everything = [(text, bytes(body)) for text, body in cursor.fetchall()]
        cursor.execute("SELECT row_to_json(j)::text FROM explain_explanationjob j WHERE id = %s", [job.pk])
        (whole,) = cursor.fetchone()
    assert not any("918273645" in text or b"918273645" in body or "customer-9" in text for text, body in everything)
    assert "918273645" not in whole
    assert "918273645" not in str([entry.facts for entry in history(job.subject)])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"level": "best"}, "level"),
        ({"algorithm": "magic"}, "algorithm"),
        ({"algorithm": "lime"}, "algorithm"),
        ({"scale": "log_odd"}, "scale"),
        ({"of_class": "maybe"}, "of_class"),
        ({"groups": {"money": ["income", "wealth"]}}, "groups"),
        ({"groups": {"a": ["income"], "b": ["income"]}}, "groups"),
        ({"groups": {"age": ["income"]}}, "groups"),
        ({"sample": 3}, "sample"),
        ({"budget": 12}, "budget"),
        ({"subjects": {"nobody": "x"}}, "subjects"),
        ({"rows": {"erased-1": sample(1)[0]}}, "rows"),
    ],
)
def test_what_the_question_cannot_mean_is_refused_with_its_field(changes: Any, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        ask(register_endpoint("http://127.0.0.1:9/"), **changes)
    assert field in caught.value.fields


def test_a_row_that_does_not_fit_is_named_with_its_column() -> None:
    with pytest.raises(BadInput) as caught:
        ask(register_endpoint("http://127.0.0.1:9/"), rows={"case-7": {"income": "much", "age": 2, "sector": "x"}})
    assert "case-7" in caught.value.fields["rows"]
    assert "income" in caught.value.fields["rows"]


def test_the_cost_is_estimated_before_anything_is_asked(perform: Perform) -> None:
    with serving() as (url, server):
        endpoint = register_endpoint(url)
        given: dict[str, Any] = {"rows": {f"r{i}": row for i, row in enumerate(sample(6))}, "background": sample(30, 9)}
        before = jobs.estimate(endpoint.version, endpoint, **given)
        assert server.count == 0
        job = perform(ask(endpoint))
        after = jobs.estimate(endpoint.version, endpoint, **given)
    assert before.seconds_likely is None
    assert after.seconds_likely is not None
    spent = sum(row.evals for row in queries.results(job))
    assert spent <= before.model_rows_most
    assert 0.3 < spent / before.model_rows_likely < 3
    assert job.settings["estimate"]["rows"] == 6
    assert before.budget == job.budget
    assert queueing.held() == set()
    assert job.standing == Standing.EVIDENCE


def test_text_that_no_database_takes_ends_the_job_and_is_not_delivered_for_ever(perform: Perform) -> None:
    with serving(lambda _rows, _count: (422, b"what is \x00 this?", {})) as (url, _server):
        job = perform(ask(register_endpoint(url)))
    assert (job.state, "what is this?" in job.error) == (State.FAILED, True)


def test_what_cannot_be_stored_ends_the_job(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    def unstorable(*_args: Any, **_words: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'NaN'::jsonb")

    with serving() as (url, _server):
        job = ask(register_endpoint(url))
        monkeypatch.setattr(jobs, "prepared", unstorable)
        job = perform(job)
    assert (job.state, history(job.subject)[0].facts["code"]) == (State.FAILED, "bug")
