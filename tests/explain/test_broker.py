"""A stopped broker and a killed worker lose nothing: real Valkey, real Celery workers, real kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from celery import Celery
from django.db import connection

from audit.queries import history
from explain import jobs, queries, queueing, receipts
from explain.models import ExplanationJob, Standing, State
from registry import environments
from tests.conftest import CommittedDatabase
from tests.explain.conftest import ENQUEUE, TRAINER, Perform, ask, register_endpoint, sample
from tests.explain.servers import serving, slow
from tests.explain.workers import ROOT, until, valkey, worker

#: Requests of a probe of ``servers.serving``; then follow the canary rows, the background and the rows.
PROBED = 21


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


def test_a_killed_worker_a_restarted_broker_and_a_restarted_database_change_no_byte() -> None:
    """The drill has servers of its own: this process's database is not one to restart."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.drills.explanation_faults"],
        cwd=ROOT,
        env={**os.environ, "COUNTERSIGN_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-4000:]
    assert found.stdout.strip().splitlines()[-1] == "the same bytes: 3 of 3"


def test_a_cancelled_job_lets_its_worker_go_within_two_seconds(
    committed_db: CommittedDatabase, broker: str, tmp_path: Path
) -> None:
    """Wherever it waits: in the probe, for the canary rows, for the background, among the rows."""
    log = tmp_path / "worker.log"
    messages = Celery(broker=broker)
    taken: dict[int, float] = {}
    with serving() as (url, server), worker(committed_db.url(), broker, log) as running:
        endpoint = register_endpoint(url)
        for answered in (3, PROBED, PROBED + 1, PROBED + 4):
            server.count = 0
            server.behaviour = slow(20.0, after=answered)  # an answer that takes longer than anybody waits
            job = ask(endpoint, count=100, background=sample(100, seed=9))
            messages.send_task(queueing.RUN_JOB, args=[job.pk])
            until(lambda: server.count > answered, log, running)  # noqa: B023 - it ends before the next turn
            assert bool(queries.find(job.pk).plan) == (answered >= PROBED)
            began = time.monotonic()
            jobs.cancel(queries.find(job.pk), reason="wrong rows", by=TRAINER)
            until(lambda: not queueing.held(), log, running)
            taken[answered] = time.monotonic() - began
            assert queries.find(job.pk).state == State.CANCELLED
    messages.close()
    assert max(taken.values()) < 2.0 + 0.4, f"until looks five times a second, twice; by answers before: {taken}"


HOLDERS = "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND objid = %s"


def test_two_worker_processes_share_a_job_and_the_result_is_that_of_one(
    committed_db: CommittedDatabase, broker: str, tmp_path: Path, perform: Perform
) -> None:
    messages = Celery(broker=broker)
    asked: dict[str, Any] = {"count": 60, "background": sample(200, seed=9)}
    with serving(slow(0.5)) as (url, server):
        endpoint = environments.change_endpoint(register_endpoint(url), concurrency=8, by=TRAINER)
        job = ask(endpoint, **asked)
        log = tmp_path / "worker.log"
        together = 0
        with worker(committed_db.url(), broker, log) as one, worker(committed_db.url(), broker, log):
            # the worker that prepares the job asks for help by itself, over the broker that both share
            messages.send_task(queueing.RUN_JOB, args=[job.pk])

            def look() -> None:
                nonlocal together
                with connection.cursor() as cursor:
                    cursor.execute(HOLDERS, [job.pk])
                    together = max(together, cursor.fetchone()[0])

            until(lambda: not queries.find(job.pk).open, log, one, meanwhile=look)
        server.behaviour = slow(0.0)
        alone = perform(ask(endpoint, **asked))
    messages.close()
    job = queries.find(job.pk)
    assert (job.state, job.error) == (State.FINISHED, "")
    assert together == 2
    assert job.receipt["digests"]["results"] == alone.receipt["digests"]["results"]
