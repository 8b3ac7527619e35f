"""Work that the clock starts."""

from __future__ import annotations

from celery import shared_task

from audit import checks, shards
from audit.exports import jobs


@shared_task(name="audit.self_check", ignore_result=True)  # type: ignore[untyped-decorator]
def self_check() -> None:
    """Verify the whole log and store what was found (``CELERY_BEAT_SCHEDULE`` starts it)."""
    checks.self_check()


@shared_task(name="audit.close_if_due", ignore_result=True)  # type: ignore[untyped-decorator]
def close_if_due() -> None:
    """At a year's end, order that its log be closed (only with ``LOG_SHARDS=year``)."""
    shards.close_if_due()


@shared_task(name=jobs.RUN, acks_late=True, reject_on_worker_lost=True, ignore_result=True)  # type: ignore[untyped-decorator]
def run_export(number: int) -> str:
    """Write a bundle. Delivered twice, it does nothing the second time."""
    return jobs.perform(number)


@shared_task(name="audit.redeliver_exports", ignore_result=True)  # type: ignore[untyped-decorator]
def redeliver_exports() -> int:
    """Send every export that waits again: a message may be lost, its row is not."""
    return jobs.redeliver()
