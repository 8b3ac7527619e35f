"""Work that the clock starts."""

from __future__ import annotations

from celery import shared_task

from audit import checks, shards


@shared_task(name="audit.self_check", ignore_result=True)  # type: ignore[untyped-decorator]
def self_check() -> None:
    """Verify the whole log and store what was found (``CELERY_BEAT_SCHEDULE`` starts it)."""
    checks.self_check()


@shared_task(name="audit.close_if_due", ignore_result=True)  # type: ignore[untyped-decorator]
def close_if_due() -> None:
    """At a year's end, order that its log be closed (only with ``LOG_SHARDS=year``)."""
    shards.close_if_due()
