"""A job from request to receipt, against a healthy and a broken served model."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from audit import log
from audit.models.events import Event
from audit.queries import history
from audit.refusals import BadInput, Conflict, Refused
from explain import engines, jobs, queries, receipts, requests, work
from explain.methods import levels
from explain.models import ExplanationJob, ExplanationRow, Standing, State
from tests.conftest import CommittedDatabase
from tests.explain.conftest import TRAINER, Perform, ask, register_endpoint, sample
from tests.explain.servers import Row, answer, healthy, serving, slow

pytestmark = pytest.mark.usefixtures("committed_db")


def stored(job: ExplanationJob) -> list[bytes]:
    return [np.array([*row.phi, *row.se, row.base, row.fx]).tobytes() for row in queries.results(job)]


def test_a_finished_job_adds_up_counts_as_evidence_and_is_in_the_log(perform: Perform) -> None:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url)))
    assert (job.state, job.standing, job.error) == (State.FINISHED, Standing.EVIDENCE, "")
    rows = queries.results(job)
    assert [row.row_id for row in rows] == [f"r{i}" for i in range(6)]
    assert max(abs(row.base + sum(row.phi) - row.fx) for row in rows) < 1e-12
    events = [entry.event for entry in history(job.subject)]
    said = ("finished", "prepared", "started", "requested")
    assert events == [f"explanation.{word}" for word in said]
    assert history(job.subject)[0].facts["receipt"] == job.receipt_digest
    assert receipts.problems(job) == []
    assert queries.evidence(job.version, "shap") == job
    assert queries.evidence(job.version, "lime") is None


def test_chunks_and_a_takeover_do_not_change_a_byte(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (url, _server):
        endpoint = register_endpoint(url)
        whole = perform(ask(endpoint))
        monkeypatch.setattr(engines, "CHUNK_ROWS", 1)
        single = perform(ask(endpoint))
        half = ask(endpoint)
        jobs.begin(half.pk, alone=True, by=TRAINER)
        positions = {f"r{i}": i for i in range(6)}
        jobs.checkpoint(half, [receipts.result_of(row) for row in queries.results(whole)[:2]], positions)
        resumed = perform(half)
    assert stored(whole) == stored(single) == stored(resumed)
    digests = {job.receipt["digests"]["results"] for job in (whole, single, resumed)}
    assert len(digests) == 1
    assert "explanation.resumed" in [entry.event for entry in history(resumed.subject)]


def test_a_job_that_was_delivered_twice_does_nothing_the_second_time(perform: Perform) -> None:
    with serving() as (url, server):
        job = perform(ask(register_endpoint(url)))
        requests = server.count
        assert perform(job).receipt_digest == job.receipt_digest
        assert server.count == requests


def test_lime_says_how_stable_it_is(perform: Perform) -> None:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), method="lime", count=1))
    assert job.state == State.FINISHED, job.error
    (row,) = queries.results(job)
    assert set(row.diagnostics) == {"r2", "vsi", "csi", "samples"}
    assert row.converged == (job.standing == Standing.EVIDENCE)
    assert np.sign(row.phi[0]) == np.sign(sample(1)[0]["income"] - 50)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((500, b"boom", {}), "boom"),
        ((200, b"", {}), "not JSON"),
        ((200, b'{"predictions": [[0.5, 0.5]]}', {}), "answered 1"),
        ((200, b'{"predictions": ["yes"]}', {}), "pyfunc_predict_fn"),
        ((302, b"", {"location": "http://127.0.0.1:1/"}), "redirects"),
        ((400, b"no such column", {}), "no such column"),
    ],
)
def test_a_broken_model_fails_the_job_with_a_sentence_and_no_result(reply: Any, words: str, perform: Perform) -> None:
    def behave(rows: list[Row], _count: int) -> Any:
        return (200, json.dumps({"predictions": ["yes"] * len(rows)}).encode(), {}) if b"yes" in reply[1] else reply

    with serving(behave) as (url, _server):
        job = perform(ask(register_endpoint(url)))
    assert job.state == State.FAILED
    assert words in job.error
    assert not job.results.exists()
    assert history(job.subject)[0].event == "explanation.failed"


def test_a_model_that_answers_nan_fails_the_job(perform: Perform) -> None:
    with serving(lambda rows, _n: (200, json.dumps({"predictions": [[0.5, None]] * len(rows)}).encode(), {})) as (
        url,
        _s,
    ):
        job = perform(ask(register_endpoint(url)))
    assert (job.state, job.results.count()) == (State.FAILED, 0)
    assert "NaN" in job.error


def test_a_model_that_changes_mid_job_discards_the_results(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CHUNK_ROWS", 1)

    def behave(rows: list[Row], count: int) -> Any:
        if count < 20:
            return healthy(rows, count)
        return 200, json.dumps({"predictions": [[0.9, 0.1]] * len(rows)}).encode(), {}

    with serving(behave) as (url, _server):
        job = perform(ask(register_endpoint(url)))
    assert job.state == State.VERSION_CHANGED
    assert "another model answers now" in job.error
    assert not job.results.exists()
    assert history(job.subject)[0].event == "explanation.version_changed"


def test_an_endpoint_that_answers_by_the_batch_gives_a_draft(perform: Perform) -> None:
    def behave(rows: list[Row], _count: int) -> Any:
        if len(rows) > 1:
            return healthy(rows, 0)
        pairs = json.loads(answer(rows))["predictions"]
        return 200, json.dumps({"predictions": [[a + 0.001, b - 0.001] for a, b in pairs]}).encode(), {}

    with serving(behave) as (url, _server):
        job = perform(ask(register_endpoint(url)))
    assert (job.state, job.standing) == (State.FINISHED, Standing.DRAFT)
    assert "batch_dependent" in job.receipt["faults"]
    assert queries.evidence(job.version, "shap") is None


def test_a_row_that_did_not_reach_the_tolerance_makes_a_draft(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels, "LEVELS", {"standard": levels.Precision("0.05", 2, 2, 2.0)})
    monkeypatch.setattr(requests, "LEVELS", levels.LEVELS)
    with serving(lambda rows, _n: (200, json.dumps({"predictions": [_rough(row) for row in rows]}).encode(), {})) as (
        url,
        _s,
    ):
        job = perform(ask(register_endpoint(url), tol="0.001"))
    assert (job.state, job.standing) == (State.FINISHED, Standing.DRAFT)
    assert job.receipt["faults"]["not_converged"] > 0


def _rough(row: Row) -> list[float]:
    high = 0.9 if row["income"] > 50 and (row["age"] % 7 > 3) == (row["sector"] == "retail") else 0.1
    return [1 - high, high]


def test_cancelling_stops_the_worker_and_keeps_no_evidence(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "CHUNK_ROWS", 1)
    with serving() as (url, server):
        job = ask(register_endpoint(url), count=60)

        def behave(rows: list[Row], count: int) -> Any:
            time.sleep(0.02)
            if count == 24:
                thread = threading.Thread(target=cancelled)
                thread.start()
                thread.join()
            return healthy(rows, count)

        def cancelled() -> None:
            jobs.cancel(ExplanationJob.objects.get(pk=job.pk), reason="wrong rows", by=TRAINER)
            connection.close()

        server.behaviour = behave
        job = perform(job)
    assert job.state == State.CANCELLED
    assert job.results.count() < 60
    assert history(job.subject)[0].reason == "wrong rows"
    with pytest.raises(Conflict):
        jobs.cancel(job, by=TRAINER)


def test_a_job_that_another_worker_holds_is_left_alone(perform: Perform) -> None:
    with serving(slow(0.01)) as (url, server):
        job = ask(register_endpoint(url))
        seen: list[str] = []

        def second(rows: list[Row], count: int) -> Any:
            if count == 5:
                thread = threading.Thread(target=lambda: (seen.append(_claimed(job.pk)), connection.close()))
                thread.start()
                thread.join()
            return healthy(rows, count)

        server.behaviour = second
        assert perform(job).state == State.FINISHED
    assert seen == ["ignored"]


def _claimed(job_id: int) -> str:
    from explain import tasks

    return str(tasks.run_job(job_id))


def test_what_waits_is_delivered_again_and_what_runs_is_not(
    delivered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from explain import queueing, tasks

    monkeypatch.setattr(tasks, "REDELIVER_AFTER", 0.0)
    with serving() as (url, _server):
        endpoint = register_endpoint(url)
        waiting, abandoned, held, ended = (ask(endpoint) for _ in range(4))
        jobs.begin(abandoned.pk, alone=True, by=TRAINER)
        jobs.cancel(ended, by=TRAINER)
        delivered.clear()
        with queueing.joined(held.pk) as others:
            assert others == 0
            assert tasks.redeliver_waiting() == 2
    assert delivered == [waiting.pk, abandoned.pk]


def test_the_database_refuses_to_change_a_question_or_a_result(
    perform: Perform, committed_db: CommittedDatabase
) -> None:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url)))
    with pytest.raises(IntegrityError), transaction.atomic():
        ExplanationJob.objects.filter(pk=job.pk).update(seed=8)
    with pytest.raises(IntegrityError), transaction.atomic():
        ExplanationRow.objects.filter(job=job).update(fx=0.5)
    with pytest.raises(IntegrityError), transaction.atomic():
        ExplanationRow.objects.filter(job=job).update(job=job, row_id="other")
    with pytest.raises(IntegrityError, match="stay as long"), transaction.atomic():
        job.results.filter(row_id="r0").delete()
    with pytest.raises(IntegrityError, match="stay as long"), transaction.atomic():
        job.results.all().delete()
    assert receipts.problems(job) == []
    with psycopg.connect(committed_db.admin_url) as intruder:  # who owns the server can, and the receipt tells
        intruder.execute("SET session_replication_role = replica")
        intruder.execute("DELETE FROM explain_explanationrow WHERE job_id = %s AND row_id = 'r0'", [job.pk])
    assert receipts.problems(job) == ["The stored results are not those of the receipt."]


def test_results_go_only_together_with_their_job(perform: Perform) -> None:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url)))
    with transaction.atomic():
        log.append(Event.RECORD_REMOVED, job, by=TRAINER)
        job.results.all()._raw_delete(connection.alias)
        job.inputs.all()._raw_delete(connection.alias)
        ExplanationJob.objects.filter(pk=job.pk)._raw_delete(connection.alias)
    assert not ExplanationRow.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"method": "magic"}, "method"),
        ({"tol": "2"}, "tol"),
        ({"tol": "much"}, "tol"),
        ({"seed": -1}, "seed"),
        ({"rows": {}}, "rows"),
        ({"background": sample(3)}, "background"),
        ({"rows": {"a": {"income": 1.0, "age": 2}}}, "rows"),
        ({"rows": {"a": {"income": 1.0, "age": 2, "sector": "x", "extra": 1}}}, "rows"),
        ({"rows": {"a": {"income": "much", "age": 2, "sector": "x"}}}, "rows"),
        ({"rows": {"a": {"income": 1.0, "age": 2.5, "sector": "x"}}}, "rows"),
        ({"rows": {"a": {"income": float("nan"), "age": 2, "sector": "x"}}}, "rows"),
        ({"rows": {"a": {"income": [1], "age": 2, "sector": "x"}}}, "rows"),
        ({"rows": {"": {"income": 1.0, "age": 2, "sector": "x"}}}, "rows"),
        ({"method": "lime", "rows": {"a": {"income": None, "age": 2, "sector": "x"}}}, "rows"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_with_its_field(changes: Any, field: str) -> None:
    endpoint = register_endpoint("http://127.0.0.1:9/")
    with pytest.raises(BadInput) as caught:
        ask(endpoint, **changes)
    assert field in caught.value.fields
    assert not ExplanationJob.objects.exists()


def test_an_endpoint_that_serves_another_version_is_refused() -> None:
    one, two = register_endpoint("http://127.0.0.1:9/"), register_endpoint("http://127.0.0.1:9/", name="other")
    with pytest.raises(Refused):
        jobs.request(one.version, two, method="shap", rows={"a": sample(1)[0]}, background=sample(20), by=TRAINER)


def test_an_error_of_the_program_fails_the_job_instead_of_looping(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_kwargs: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(work.probe, "inspect", broken)
    job = perform(ask(register_endpoint("http://127.0.0.1:9/")))
    assert job.state == State.FAILED
    assert "The program met an error" in job.error
