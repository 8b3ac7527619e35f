"""At most so many requests in flight at an endpoint, and at most so many rows a second, over all workers.

Ten jobs on four machines would otherwise do to a production endpoint what nobody would let a load test do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

#: Seconds between two looks whether a place is free: the first, and the longest.
FIRST_LOOK, LONGEST_LOOK = 0.003, 0.02
#: How often ``stopped`` is asked at least, in seconds.
ASK = 0.5

Stopped = Callable[[], None]


def go_on() -> None:
    """Nothing stops."""


class Limiter(Protocol):
    """Safe to share between threads."""

    #: Rows of one request at most, so that a cap on rows per second is no burst; None: any number.
    largest: int | None

    def slot(self, rows: int, stopped: Stopped = go_on) -> AbstractContextManager[None]:
        """Wait for a place and for the time of ``rows``, hold the place inside.

        ``stopped`` raises to abandon the wait; it is asked at least twice a second.
        """
        ...

    def close(self) -> None:
        """Give every place back."""
        ...


class LocalLimiter:
    """The limits within this process: for tests, and for whoever has no database."""

    def __init__(self, concurrency: int = 16, rows_per_second: int | None = None) -> None:
        self.largest = rows_per_second
        self._places = threading.BoundedSemaphore(concurrency)
        self._lock = threading.Lock()
        self._free_at = 0.0

    @contextmanager
    def slot(self, rows: int, stopped: Stopped = go_on) -> Iterator[None]:
        while not self._places.acquire(timeout=ASK):
            stopped()
        try:
            if self.largest is not None:
                wait(self._reserve(rows / self.largest), stopped)
            yield
        finally:
            self._places.release()

    def close(self) -> None:
        pass

    def _reserve(self, seconds: float) -> float:
        with self._lock:
            now = time.monotonic()
            begins = max(self._free_at, now)
            self._free_at = begins + seconds
            return begins - now


def for_endpoint(endpoint_id: int, concurrency: int, rows_per_second: int | None) -> Limiter:
    """The limits of an endpoint over all workers that share the database. Close it after use."""
    from explain.serving.slots import DatabaseLimiter

    return DatabaseLimiter(endpoint_id, concurrency, rows_per_second)


def wait(seconds: float, stopped: Stopped) -> None:
    """Sleep, asking ``stopped`` twice a second."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stopped()
        time.sleep(min(left, ASK / 2))
