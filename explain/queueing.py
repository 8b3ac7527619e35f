"""Handing jobs to workers. The database is the queue that counts; the broker only says that there is work.

A job is ``queued`` when its row is committed. When the broker is down the message is lost and the row is not:
``explain.tasks.redeliver_waiting`` sends it again.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

from celery import current_app
from django.db import connection
from kombu.exceptions import KombuError

from audit.advisory import claimed

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


def claim(job_id: int) -> AbstractContextManager[bool]:
    """Hold the job for this process; False when a living worker holds it already."""
    return claimed(_LOCK_CLASS, job_id)


def held() -> set[int]:
    """Ids of the jobs that living workers hold in this database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [_LOCK_CLASS],
        )
        return {int(row[0]) for row in cursor.fetchall()}
