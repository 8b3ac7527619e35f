"""Handing jobs to workers. The database is the queue that counts; the broker only says that there is work.

A job is ``queued`` when its row is committed. When the broker is down the message is lost and the row is not:
``explain.tasks.redeliver_waiting`` sends it again. Who works on what is said by advisory locks of PostgreSQL, which end
with the worker's connection, however it ended: a killed worker blocks nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from celery import current_app
from django.db import connection
from kombu.exceptions import KombuError

from audit.advisory import claimed

logger = logging.getLogger(__name__)

RUN_JOB, RUN_ANALYSIS = "explain.tasks.run_job", "explain.tasks.run_analysis"
#: First key of the advisory locks: which jobs living workers hold («expl» in ASCII), and who prepares one.
_LOCK_CLASS, _PREPARE_CLASS = 0x6578706C, 0x65787072
#: The same of analyses («exan»).
_ANALYSIS_CLASS = 0x6578616E
#: Chunks are locked by one number of 64 bits: this in front, then the job, then the chunk.
_CHUNK_BASE, _CHUNKS_OF_A_JOB = 0x6578 << 48, 1 << 12


def enqueue(job_id: int, *, expires: float | None = None) -> bool:
    """Tell a worker about the job; False when the broker cannot be reached. ``expires`` in seconds."""
    try:
        current_app.send_task(RUN_JOB, args=[job_id], expires=expires, retry=False)
    except (KombuError, OSError) as error:
        logger.warning("the broker does not take job %s, it will be sent again: %s", job_id, error)
        return False
    return True


@contextmanager
def joined(job_id: int) -> Iterator[int]:
    """Hold the job together with other workers; yields how many others hold it by now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(%s, %s)", [_LOCK_CLASS, job_id])
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s AND objid = %s"
            " AND objsubid = 2 AND pid <> pg_backend_pid()"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [_LOCK_CLASS, job_id],
        )
        (others,) = cursor.fetchone() or (0,)
    try:
        yield int(others)
    finally:
        _unlock("SELECT pg_advisory_unlock_shared(%s, %s)", [_LOCK_CLASS, job_id])


def preparing(job_id: int) -> AbstractContextManager[bool]:
    """Probe the endpoint for the job; False when another worker does."""
    return claimed(_PREPARE_CLASS, job_id)


def claim_chunk(job_id: int, chunk: int) -> bool:
    """Work on a chunk alone; False when another worker does. Held until ``release_chunk`` or the connection's end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_chunk_key(job_id, chunk)])
        (mine,) = cursor.fetchone() or (False,)
    return bool(mine)


def release_chunk(job_id: int, chunk: int) -> None:
    """Give the chunk back, after its results were kept or given up."""
    _unlock("SELECT pg_advisory_unlock(%s)", [_chunk_key(job_id, chunk)])


def _chunk_key(job_id: int, chunk: int) -> int:
    return _CHUNK_BASE + job_id * _CHUNKS_OF_A_JOB + chunk


def _unlock(statement: str, keys: list[int]) -> None:
    if connection.connection is not None and not connection.connection.closed:
        with connection.cursor() as cursor:
            cursor.execute(statement, keys)


def held() -> set[int]:
    """Ids of the jobs that living workers hold in this database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [_LOCK_CLASS],
        )
        return {int(row[0]) for row in cursor.fetchall()}


def enqueue_analysis(analysis_id: int, *, expires: float | None = None) -> bool:
    """Tell a worker about the analysis; False when the broker cannot be reached. ``expires`` in seconds."""
    try:
        current_app.send_task(RUN_ANALYSIS, args=[analysis_id], expires=expires, retry=False)
    except (KombuError, OSError) as error:
        logger.warning("the broker does not take analysis %s, it will be sent again: %s", analysis_id, error)
        return False
    return True


def claim_analysis(analysis_id: int) -> AbstractContextManager[bool]:
    """Hold the analysis for this process; False when a living worker holds it already."""
    return claimed(_ANALYSIS_CLASS, analysis_id)
