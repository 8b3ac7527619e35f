"""Several processes read one snapshot: each range goes to whichever is free, the answers come back in order."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg

from audit.verification.ranges import Connection, RangeResult, check_range
from audit.verification.worker import Setup, Task

#: Fewer leaves than this are read by the asking process itself: starting others would take longer.
WORTHWHILE = 50_000
MOST_PROCESSES = 8
ROOT = Path(__file__).resolve().parent.parent.parent


class Worker:
    """One process and its pipes."""

    def __init__(self, setup: Setup) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "audit.verification.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        self._send(setup)

    def ask(self, task: Task) -> RangeResult:
        """Blocks until the range is checked. Raises ``psycopg.OperationalError`` when the process ends instead."""
        self._send(task)
        assert self._process.stdout is not None  # noqa: S101  (it is a pipe)
        try:
            result: RangeResult = pickle.load(self._process.stdout)  # noqa: S301  from a process of ours
        except (EOFError, pickle.UnpicklingError) as error:
            raise psycopg.OperationalError("a process that reads the log ended; its last words are above") from error
        return result

    def close(self) -> None:
        """End the process and wait for it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue

    def _send(self, message: Setup | Task) -> None:
        assert self._process.stdin is not None  # noqa: S101  (it is a pipe)
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise psycopg.OperationalError("a process that reads the log ended; its last words are above") from error


def processes(leaves: int) -> int:
    """How many processes are worth their start for so many leaves; 0: read them here."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_PROCESSES) if leaves >= WORTHWHILE and cores > 1 else 0


def results(own: Connection, setup: Setup, tasks: Sequence[Task], count: int) -> Iterator[RangeResult]:
    """The result of each task in order, by ``count`` processes or, when that is 0, over the connection ``own``."""
    if not count:
        for task in tasks:
            yield check_range(own, setup.log_id, task.start, task.end, task.wanted)
        return
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    workers: list[Worker] = []

    def ask(task: Task) -> RangeResult:
        worker = idle.get()
        try:
            return worker.ask(task)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(count)
    try:
        for _ in range(count):
            workers.append(Worker(setup))
            idle.put(workers[-1])
        waiting: list[Future[RangeResult]] = [threads.submit(ask, task) for task in tasks]
        for future in waiting:
            yield future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.close()
