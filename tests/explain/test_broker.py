"""A stopped broker and a killed worker lose nothing: real Valkey, real Celery workers, real kills."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from celery import Celery

from audit.queries import history
from explain import queries, queueing, receipts
from explain.models import ExplanationJob, Standing, State
from tests.conftest import CommittedDatabase
from tests.explain.conftest import ENQUEUE, Perform, ask, register_endpoint, sample
from tests.explain.servers import serving, slow
from tests.explain.workers import until, valkey, worker


@pytest.fixture
def broker() -> Iterator[str]:
    with valkey() as url:
        yield url


def test_a_job_waits_while_the_broker_is_down(committed_db: CommittedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queueing, "enqueue", ENQUEUE)
    job = ask(register_endpoint("http://127.0.0.1:9/"))
    job.refresh_from_db()
    assert job.state == State.QUEUED
    began = time.monotonic()
    assert not ENQUEUE(job.pk)
    assert time.monotonic() - began < 3, "whoever asks does not wait for a broker that is away"


def test_a_worker_that_is_killed_loses_nothing_and_the_next_one_completes_the_same_result(
    committed_db: CommittedDatabase, broker: str, tmp_path: Path, perform: Perform
) -> None:
    log = tmp_path / "worker.log"
    messages = Celery(broker=broker)
    with serving(slow(0.6)) as (url, server):
        endpoint = register_endpoint(url)
        asked: dict[str, Any] = {"count": 60, "background": sample(200, seed=9)}
        job = ask(endpoint, **asked)
        messages.send_task(queueing.RUN_JOB, args=[job.pk])
        with worker(committed_db.url(), broker, log) as first:
            until(lambda: job.results.count() > 0, log, first)
            os.killpg(first.pid, signal.SIGKILL)
            first.wait(20)
        kept = job.results.count()
        assert 0 < kept < 60
        assert ExplanationJob.objects.get(pk=job.pk).state == State.RUNNING
        with worker(committed_db.url(), broker, log) as second:
            again = lambda: messages.send_task("explain.tasks.redeliver_waiting", expires=2)  # noqa: E731
            until(lambda: not queries.find(job.pk).open, log, second, meanwhile=again)
        job = queries.find(job.pk)
        server.behaviour = slow(0.0)
        undisturbed = perform(ask(endpoint, **asked))
    messages.close()
    assert (job.state, job.standing, job.error) == (State.FINISHED, Standing.EVIDENCE, "")
    assert job.results.count() == 60
    assert job.receipt["digests"]["results"] == undisturbed.receipt["digests"]["results"]
    assert receipts.problems(job) == []
    events = [entry.event for entry in history(job.subject)]
    assert events.count("explanation.finished") == 1
    assert "explanation.resumed" in events
    one, other = queries.results(job)[kept], queries.results(undisturbed)[kept]
    assert np.array(one.phi).tobytes() == np.array(other.phi).tobytes()
