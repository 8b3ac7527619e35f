"""Rows of several threads in one request: while the server works, what is asked meanwhile waits and goes together.

A request has a fixed cost, and small ones keep a server from its best. Waiting for rows to come together would cost as
much at the beginning and the end of a job. So nothing waits while the server has less than two requests to work on;
whatever piles up behind them is the next one, and goes early when it is nearly as large as a request may be.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from explain.serving.limits import ASK, Stopped
from explain.serving.protocol import Table

Answer = TypeVar("Answer")
#: So many requests keep a server at work: one is computed while the next one is read.
BUSY = 2
#: A further one goes when it holds this part of what a request may hold.
NEARLY_FULL = 0.8


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Answer]):
    """``woken``: it is answered, or its thread may send."""

    rows: Table
    answer: Answer | None = None
    error: BaseException | None = None
    woken: threading.Event = field(default_factory=threading.Event)

    @property
    def answered(self) -> bool:
        return self.answer is not None or self.error is not None


class Gathering(Generic[Answer]):
    """Calls ``send`` in the threads that ask, for all that wait. Safe to share between threads, which is its point."""

    def __init__(
        self,
        send: Callable[[Table], Answer],
        *,
        divide: Callable[[Answer, Sequence[int]], list[Answer]],
        largest: Callable[[], int],
        senders: int,
        stopped: Stopped,
    ) -> None:
        """``divide``: the answer to joined tables into answers to tables of these lengths. ``largest``: rows of one
        request now. ``senders``: requests in flight at most. ``stopped`` raises to abandon a wait.
        """
        self._send, self._divide, self._largest, self._stopped = send, divide, largest, stopped
        self._free, self._senders = senders, senders
        self._queue: deque[_Waiting[Answer]] = deque()
        self._lock = threading.Lock()

    def ask(self, rows: Table) -> Answer:
        """The answer to ``rows``. Raises what ``send`` raises, to every thread whose rows it was about."""
        mine: _Waiting[Answer] = _Waiting(rows)
        with self._lock:
            self._queue.append(mine)
        self._send_once()
        while not mine.answered:
            if not mine.woken.wait(ASK):
                self._give_up_when_stopped(mine)
            mine.woken.clear()
            self._send_once()
        if mine.error is not None:
            raise mine.error
        assert mine.answer is not None  # noqa: S101 - the loop ends with one of both
        return mine.answer

    def _give_up_when_stopped(self, mine: _Waiting[Answer]) -> None:
        try:
            self._stopped()
        except BaseException:
            with self._lock:
                if mine in self._queue:
                    self._queue.remove(mine)
            raise

    def _send_once(self) -> None:
        """Send what waits, if there is a place; whoever still waits then is woken to do the same."""
        if not (together := self._take()):
            return
        try:
            self._answer(together)
        finally:
            with self._lock:
                self._free += 1
                if self._queue:
                    self._queue[0].woken.set()

    def _take(self) -> list[_Waiting[Answer]]:
        """What goes into the next request: as many as fit in order, one at least; empty when nothing may be sent."""
        with self._lock:
            most = self._largest()
            if not self._queue or not self._free or self._may_wait(most):
                return []
            together = [self._queue.popleft()]
            count = len(together[0].rows)
            while (
                self._queue
                and count + len(self._queue[0].rows) <= most
                and _alike(together[0].rows, self._queue[0].rows)
            ):
                count += len(self._queue[0].rows)
                together.append(self._queue.popleft())
            self._free -= 1
            return together

    def _may_wait(self, most: int) -> bool:
        waiting = sum(len(each.rows) for each in self._queue)
        return self._senders - self._free >= BUSY and waiting < NEARLY_FULL * most

    def _answer(self, together: list[_Waiting[Answer]]) -> None:
        try:
            answer = self._send(_joined([each.rows for each in together]))
            parts = self._divide(answer, [len(each.rows) for each in together])
            for each, part in zip(together, parts, strict=True):
                each.answer = part
        except BaseException as error:  # raised again in every thread that waits for it
            for each in together:
                each.error = error
        for each in together:
            each.woken.set()


def _alike(one: Table, other: Table) -> bool:
    """Whether joining changes no cell: numpy would turn whole numbers beside fractions into fractions."""
    return one.columns == other.columns and all(
        mine.dtype == theirs.dtype for mine, theirs in zip(one.cells, other.cells, strict=True)
    )


def _joined(tables: Sequence[Table]) -> Table:
    if len(tables) == 1:
        return tables[0]
    cells = [np.concatenate(column) for column in zip(*(table.cells for table in tables), strict=True)]
    return Table(tables[0].columns, cells)
