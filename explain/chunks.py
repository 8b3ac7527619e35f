"""Which rows of a job a worker takes next: fixed chunks, one worker each, nothing twice."""

from __future__ import annotations

import time
from collections.abc import Sequence

from explain import jobs, queueing
from explain.canaries import Canaries
from explain.engines import Done, Question
from explain.models import ExplanationJob

#: Results are kept about so often, in seconds: each time the canary rows are asked again.
CHECKPOINT = 1.0


class Chunks:
    """The chunks of one job as this process sees them.

    A chunk is the same rows for every worker, so that two never explain one row, and a chunk of a killed worker is free
    as soon as its connection is gone.
    """

    def __init__(self, job: ExplanationJob, questions: Sequence[Question], size: int) -> None:
        self._job = job
        self._questions = [list(questions[i : i + size]) for i in range(0, len(questions), size)]
        self._mine: set[int] = set()
        self._passed: set[int] = set()

    def claim(self) -> tuple[int, list[Question]] | None:
        """The next chunk that nobody has or does, with the rows of it that have no result yet."""
        for number, questions in enumerate(self._questions):
            if number in self._mine or number in self._passed or not queueing.claim_chunk(self._job.pk, number):
                continue
            # looked up under the lock: another worker may just have kept its results
            done = set(
                self._job.results.filter(row_id__in=[each.row_id for each in questions]).values_list(
                    "row_id", flat=True
                )
            )
            waiting = [each for each in questions if each.row_id not in done]
            if waiting:
                self._mine.add(number)
                return number, waiting
            self._passed.add(number)
            queueing.release_chunk(self._job.pk, number)
        return None

    def release(self, number: int) -> None:
        """The chunk's results are kept."""
        self._mine.discard(number)
        self._passed.add(number)
        queueing.release_chunk(self._job.pk, number)

    def release_all(self) -> None:
        """Give up what is not kept, for another worker or another time."""
        for number in list(self._mine):
            self.release(number)


class Keeper:
    """Keeps finished chunks, about once a second, and only after the canary rows answered as at the start."""

    def __init__(self, job: ExplanationJob, chunks: Chunks, positions: dict[str, int], canaries: Canaries) -> None:
        self._job, self._chunks, self._positions, self._canaries = job, chunks, positions, canaries
        self._found: list[Done] = []
        self._since = time.monotonic()

    def take(self, done: Done) -> None:
        """Keep it soon.

        Raises ``AnotherVersion`` when another model answers by now, and ``Cancelled`` when the job no longer runs.
        """
        self._found.append(done)
        if time.monotonic() - self._since >= CHECKPOINT:
            self.flush()

    def flush(self) -> None:
        """Keep what there is now."""
        if self._found:
            self._canaries.check()
            jobs.checkpoint(self._job, [row for done in self._found for row in done.rows], self._positions)
            for done in self._found:
                self._chunks.release(done.number)
        self._found = []
        self._since = time.monotonic()
