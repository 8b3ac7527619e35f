"""Celery tasks: they translate a message into a call and decide nothing."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from explain import analysing, notices, queueing, work
from explain.models import Analysis, ExplanationJob

#: How long a job may wait, and how often waiting jobs are sent again, in seconds.
REDELIVER_AFTER = 15.0


@shared_task(name=queueing.RUN_JOB, acks_late=True, reject_on_worker_lost=True, ignore_result=True)  # type: ignore[untyped-decorator]
def run_job(job_id: int) -> str:
    """Do a job, or help those who do. Delivered twice, it finds nothing left the second time."""
    with queueing.joined(job_id) as others:
        return work.perform(job_id, others=others)


@shared_task(name="explain.tasks.redeliver_waiting", ignore_result=True)  # type: ignore[untyped-decorator]
def redeliver_waiting() -> int:
    """Send every open job that no living worker holds again; answers how many were taken by the broker.

    This is what makes jobs outlive the broker and their workers: a message may be lost, the row is not. The messages
    expire before the next round, so that they do not pile up while all workers are busy.
    """
    since = timezone.now() - timedelta(seconds=REDELIVER_AFTER)
    waiting = ExplanationJob.objects.unfinished().filter(requested__lte=since).order_by("id")
    held = queueing.held()
    ids = [job_id for job_id in waiting.values_list("id", flat=True) if job_id not in held]
    return sum(queueing.enqueue(job_id, expires=REDELIVER_AFTER) for job_id in ids)


@shared_task(name=queueing.RUN_ANALYSIS, acks_late=True, reject_on_worker_lost=True, ignore_result=True)  # type: ignore[untyped-decorator]
def run_analysis(analysis_id: int) -> str:
    """Do an analysis unless a living worker does it already. Delivered twice, it does nothing the second time."""
    with queueing.claim_analysis(analysis_id) as mine:
        return analysing.perform(analysis_id) if mine else "ignored"


@shared_task(name="explain.tasks.redeliver_analyses", ignore_result=True)  # type: ignore[untyped-decorator]
def redeliver_analyses() -> int:
    """Send every open analysis again; answers how many were taken by the broker. One that is held does nothing."""
    since = timezone.now() - timedelta(seconds=REDELIVER_AFTER)
    waiting = Analysis.objects.unfinished().filter(requested__lte=since).order_by("id")
    ids = list(waiting.values_list("id", flat=True))
    return sum(queueing.enqueue_analysis(analysis_id, expires=REDELIVER_AFTER) for analysis_id in ids)


@shared_task(name="explain.tasks.deliver_notices", ignore_result=True)  # type: ignore[untyped-decorator]
def deliver_notices() -> int:
    """Tell who asked to be told of the end of an explanation; answers how many were told."""
    return notices.deliver()
