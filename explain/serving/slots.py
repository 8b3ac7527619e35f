"""The limits of an endpoint in PostgreSQL: places are advisory locks, which end with the connection that holds them.

A worker that is killed gives its place back at once, and nothing has to be tidied up. One statement takes a place and
one gives it back. A pooler in front of PostgreSQL must pool sessions, not transactions (as for LISTEN).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import Error as DatabaseFault
from django.db import connections

from explain.serving.limits import ASK, FIRST_LOOK, LONGEST_LOOK, Stopped, go_on, wait
from explain.serving.protocol import Cancelled

#: First half of the advisory locks' keys («slot» in ASCII); the second is the endpoint's number and the place.
LOCK = 0x736C6F74
#: Places of one endpoint.
MOST = 16
#: Places are tried in the order given, and the first that is free is taken: the function is asked row by row.
_TAKE = "SELECT place FROM unnest(%s::int[]) AS place WHERE pg_try_advisory_lock(%s, %s + place) LIMIT 1"
_PACE = """
    INSERT INTO registry_endpoint_pace AS pace (endpoint_id, free_at)
    VALUES (%(id)s, clock_timestamp() + make_interval(secs => %(secs)s))
    ON CONFLICT (endpoint_id) DO UPDATE
    SET free_at = greatest(pace.free_at, clock_timestamp()) + make_interval(secs => %(secs)s)
    RETURNING extract(epoch FROM free_at - clock_timestamp())::float8 - %(secs)s
"""


#: Seconds after which a waiting process looks as often as it may.
HUNGRY = 0.25


def _spread(seconds: float) -> float:
    return seconds * (0.5 + random.random())  # noqa: S311 — decides nothing


class DatabaseLimiter:
    """A ``Limiter`` over all processes that share the database, on a connection of its own."""

    def __init__(self, endpoint_id: int, concurrency: int, rows_per_second: int | None) -> None:
        """``concurrency`` from 1 to 16. Connects at the first request."""
        self.largest = rows_per_second
        self._id = endpoint_id
        # the second key of a pair of advisory locks has 32 bits
        self._first = (endpoint_id % 2**27) * MOST - 2**30
        self._places = max(1, min(concurrency, MOST))
        self._held: set[int] = set()
        self._lock = threading.Lock()
        self._given = threading.Condition()
        self._connection: Any = None
        self._closed = False

    @contextmanager
    def slot(self, rows: int, stopped: Stopped = go_on) -> Iterator[None]:
        """Raises ``django.db.Error`` when the database is away: without it nobody knows how many others ask."""
        place = self._take(stopped)
        try:
            if self.largest is not None:
                wait(self._reserve(rows / self.largest), stopped)
            yield
        finally:
            self._give_back(place)

    def close(self) -> None:
        """Close the connection, which gives every place back."""
        with self._lock:
            self._closed = True
            self._hang_up()

    def _hang_up(self) -> None:
        lost, self._connection = self._connection, None
        self._held.clear()
        if lost is not None:
            lost.close()

    def _take(self, stopped: Stopped) -> int:
        """A thread of this process that gives a place back wakes another; other processes look again and again.

        Whoever was woken waits a moment, so that another process that waits for long gets the place sometimes.
        """
        look, began = FIRST_LOOK, time.monotonic()
        asked = began
        while (place := self._try()) is None:
            now = time.monotonic()
            if now - asked >= ASK / 2:
                asked = now
                stopped()
            with self._given:
                woken = self._given.wait(_spread(FIRST_LOOK if now - began > HUNGRY else look))
            if woken:
                time.sleep(_spread(FIRST_LOOK))
            look = min(look * 2, LONGEST_LOOK)
        return place

    def _try(self) -> int | None:
        with self._lock:
            # a session may take its own lock twice, so that places which this process holds are not asked for
            free = [place for place in range(self._places) if place not in self._held]
            if not free:
                return None
            found = self._ask(_TAKE, [free, LOCK, self._first])
            if found is not None:
                self._held.add(int(found))
            return None if found is None else int(found)

    def _give_back(self, place: int) -> None:
        self._unlock(place)
        with self._given:
            self._given.notify()

    def _unlock(self, place: int) -> None:
        with self._lock:
            if place not in self._held:
                return
            self._held.discard(place)
            try:
                self._ask("SELECT pg_advisory_unlock(%s, %s)", [LOCK, self._first + place])
            except (DatabaseFault, Cancelled):
                self._hang_up()  # which gives every place back; the next request meets the fault and says so

    def _reserve(self, seconds: float) -> float:
        with self._lock:
            return max(0.0, float(self._ask(_PACE, {"id": self._id, "secs": seconds})))

    def _ask(self, sql: str, parameters: Any) -> Any:
        if self._closed:  # a thread that was left behind must not open a connection that nobody closes
            raise Cancelled
        if self._connection is None:
            made = connections["default"].copy()
            made.inc_thread_sharing()
            made.set_autocommit(True)
            self._connection = made
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            row = cursor.fetchone()
            return row[0] if row else None
