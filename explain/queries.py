"""Reads for pages, the API and the gate. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.refusals import NotKnown
from explain.models import ExplanationJob, ExplanationRow, Standing, State
from registry.models import Endpoint, ModelVersion


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` rows explained with ``evals`` model rows scored.

    ``rate``: explained rows per second since the job started, ``seconds_left`` at that rate; None before the first row.
    """

    done: int
    total: int
    evals: int
    rate: float | None = None
    seconds_left: float | None = None

    @property
    def percent(self) -> int:
        """0 to 100."""
        return 100 * self.done // self.total if self.total else 0


def jobs() -> QuerySet[ExplanationJob]:
    """All jobs, newest first, without their large columns; one query."""
    return ExplanationJob.objects.with_names()


def of_version(version: ModelVersion, *, limit: int = 10) -> list[ExplanationJob]:
    """The newest jobs about a version."""
    return list(jobs().filter(version=version)[:limit])


def newest_finished(version_ids: Iterable[int]) -> dict[tuple[int, str], ExplanationJob]:
    """The newest finished job of each version and method, by version id and method. One query."""
    rows = jobs().filter(version_id__in=list(version_ids), state=State.FINISHED)
    newest = rows.order_by("version_id", "method", "-id").distinct("version_id", "method")
    return {(row.version_id, row.method): row for row in newest}


def find(job_id: int) -> ExplanationJob:
    """The job with everything that its page reads. Raises ``NotKnown``."""
    job = (
        ExplanationJob.objects.select_related("version__model", "endpoint__environment", "endpoint__version", "repeats")
        .filter(pk=job_id)
        .first()
    )
    if job is None:
        raise NotKnown(_("There is no explanation %(id)s.") % {"id": job_id}, code="explanation.unknown")
    return job


def progress(job: ExplanationJob) -> Progress:
    """How far a job is: finished rows are the checkpoint, nothing else counts."""
    counted = job.results.aggregate(done=Count("id"), evals=Sum("evals"))
    done, total, evals = counted["done"], job.total, counted["evals"] or 0
    if not done or job.started is None or job.state != State.RUNNING:
        return Progress(done=done, total=total, evals=evals)
    rate = done / max((timezone.now() - job.started).total_seconds(), 0.1)
    return Progress(done=done, total=total, evals=evals, rate=rate, seconds_left=(total - done) / rate)


def results(job: ExplanationJob) -> list[ExplanationRow]:
    """The explained rows in the order of the request."""
    return list(job.results.order_by("position"))


def endpoints() -> QuerySet[Endpoint]:
    """Served models that can be asked."""
    return Endpoint.objects.select_related("version__model", "environment")


def evidence(version: ModelVersion, method: str) -> ExplanationJob | None:
    """The newest finished job that counts as evidence for the version *as it is now*: same digest, no fault."""
    return (
        jobs()
        .filter(
            version=version,
            digest=version.digest,
            method=method,
            state=State.FINISHED,
            standing=Standing.EVIDENCE,
        )
        .first()
    )
