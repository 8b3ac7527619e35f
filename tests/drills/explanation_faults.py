"""A job of 200 rows whose worker is killed, whose broker restarts, whose database restarts in the middle.

Each ends with the very results of a job that nobody disturbed. Real PostgreSQL, Valkey and Celery workers of its own,
because the tests' database is not one to restart; the model is the double of ``tests.explain.servers``, which can be
slow. ``python -m tests.drills.explanation_faults`` ends with a line ``the same bytes: 3 of 3``.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.benchmarks._server import Bench, migrated_server  # isort: skip  (sets Django up)

from celery import Celery
from django.db import Error, connection

from explain import queries, queueing
from explain.models import ExplanationJob, State
from tests.explain.conftest import ask, register_endpoint, sample
from tests.explain.servers import serving, slow
from tests.explain.workers import broker, worker

ROWS = 200


class Drill:
    """The parts, and one job at a time."""

    def __init__(self, bench: Bench, url: str, server: Any, folder: Path) -> None:
        self.bench, self.url, self.server, self.folder = bench, url, server, folder
        self.messages = Celery(broker=url)
        self.workers = 0

    def worker(self) -> Any:
        """Another worker, in a process group of its own."""
        self.workers += 1
        return worker(self.bench.url(), self.url, self.folder / f"worker-{self.workers}.log")

    def send(self, name: str, *args: Any) -> None:
        """A message to the workers; while the broker is away, none."""
        with suppress(Exception):
            self.messages.send_task(name, args=list(args), expires=5, retry=False)

    def done(self, job: ExplanationJob) -> int:
        """How many rows are kept."""
        try:
            return job.results.count()
        except Error:
            connection.close()
            return -1

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait, with the clock's redelivery meanwhile."""
        for _ in range(400):
            if condition():
                return
            self.send("explain.tasks.redeliver_waiting")
            time.sleep(0.5)
        raise AssertionError("the job does not go on")

    def run(self, endpoint: Any, disturb: Callable[[Any], None] | None) -> str:
        """Ask, disturb in the middle, and answer the digest of the results."""
        job = ask(endpoint, count=ROWS, background=sample(100, seed=9))
        with self.worker() as first:
            self.send(queueing.RUN_JOB, job.pk)
            if disturb is not None:
                self.until(lambda: self.done(job) > 0)
                kept = self.done(job)
                assert 0 < kept < ROWS, kept
                disturb(first)
                print(f"  disturbed after {kept} of {ROWS} rows", flush=True)
            if first.poll() is None:
                self.until(lambda: self.ended(job))
        if not self.ended(job):
            with self.worker():
                self.until(lambda: self.ended(job))
        job = queries.find(job.pk)
        assert (job.state, job.results.count()) == (State.FINISHED, ROWS), (job.state, job.error)
        return str(job.receipt["digests"]["results"])

    def ended(self, job: ExplanationJob) -> bool:
        """Whether nothing is to be done any more."""
        try:
            return not queries.find(job.pk).open
        except Error:
            connection.close()
            return False


def main() -> None:
    """Three faults, three jobs."""
    with (
        tempfile.TemporaryDirectory() as folder,
        migrated_server() as bench,
        broker() as (url, server),
        serving(slow(0.25)) as (model, _model),
    ):
        drill = Drill(bench, url, server, Path(folder))
        endpoint = register_endpoint(model)

        def kill(process: Any) -> None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)

        def restart_broker(_process: Any) -> None:
            server.stop()
            time.sleep(1)
            server.start()

        undisturbed = drill.run(endpoint, None)
        faults = {
            "the worker is killed": kill,
            "the broker restarts": restart_broker,
            "the database restarts": lambda _process: bench.restart(),
        }
        same = 0
        for words, disturb in faults.items():
            print(words, flush=True)
            same += drill.run(endpoint, disturb) == undisturbed
        drill.messages.close()
        connection.close()
    print(f"the same bytes: {same} of {len(faults)}")
    assert same == len(faults)


if __name__ == "__main__":
    main()
