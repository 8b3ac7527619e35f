"""Handing jobs to workers. The database is the queue that counts; the broker only says that there is work.

A job is ``queued`` when its row is committed. When the broker is down the message is lost and the row is not:
``explain.tasks.redeliver_waiting`` sends it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery import current_app
from django.db import connection
from kombu.exceptions import KombuError

logger = logging.getLogger(__name__)

RUN_JOB = "explain.tasks.run_job"
#: First key of the advisory locks that say which job a living worker holds («expl» in ASCII).
_LOCK_CLASS = 0x6578706C


def enqueue(job_id: int, *, expires: float | None = None) -> bool:
    """Tell a worker about the job; False when the broker cannot be reached. ``expires`` in seconds."""
    try:
        current_app.send_task(RUN_JOB, args=[job_id], expires=expires, retry=False)
    except (KombuError, OSError) as error:
        logger.warning("the broker does not take job %s, it will be sent again: %s", job_id, error)
        return False
    return True


@contextmanager
def claim(job_id: int) -> Iterator[bool]:
    """Hold the job for this process; False when a living worker holds it already.

    A session-level advisory lock: PostgreSQL gives it back when the worker's connection ends, however it ended, so that
    a killed worker blocks nobody and two deliveries of one job never run at once. Job ids stay below 2^31.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_LOCK_CLASS, job_id])
        (mine,) = cursor.fetchone() or (False,)
    try:
        yield bool(mine)
    finally:
        if mine and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_LOCK_CLASS, job_id])


def held() -> set[int]:
    """Ids of the jobs that living workers hold in this database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [_LOCK_CLASS],
        )
        return {int(row[0]) for row in cursor.fetchall()}
