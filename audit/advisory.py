"""Work that one process does at a time, held by PostgreSQL's advisory locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def claimed(kind: int, number: int) -> Iterator[bool]:
    """Hold the piece of work ``(kind, number)`` for this process; False when a living one holds it already.

    A session-level lock: PostgreSQL gives it back when the connection ends, however it ended, so that a killed worker
    blocks nobody and two deliveries of one task never run at once. Both numbers are below 2**31.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [kind, number])
        (mine,) = cursor.fetchone() or (False,)
    try:
        yield bool(mine)
    finally:
        if mine and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [kind, number])
