"""Which log is the newest, for readers: asked for at most once a second by each process and database.

Writers do not use it: they choose the newest log inside the INSERT (``audit.log``).
"""

from __future__ import annotations

import time

from django.db import connection

#: How long a process may go on reading the old log after a new one has begun, in seconds.
FRESH = 1.0

_known: dict[tuple[str, ...], tuple[float, int]] = {}


def number() -> int:
    """The newest log's number; 1 before the first log is opened."""
    database = tuple(str(connection.settings_dict[part]) for part in ("NAME", "HOST", "PORT"))
    asked, newest = _known.get(database, (float("-inf"), 1))
    if time.monotonic() - asked < FRESH:
        return newest
    connection.ensure_connection()
    # Not through Django's cursor: this is bookkeeping of the process, not part of what a page asks.
    row = connection.connection.execute("SELECT coalesce(max(log_id), 1) FROM audit.log").fetchone()
    _known[database] = (time.monotonic(), int(row[0]))
    return int(row[0])


def forget() -> None:
    """Ask again at the next call, for a process that has just made a log or moved to another database."""
    _known.clear()
