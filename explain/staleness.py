"""Whether a finished explanation still speaks about what is there now: recomputed on every read, never stored.

An explanation is about exactly these bytes, asked in exactly this way, compared with exactly this background. When one
of the three is another by now, it is stale, and no gate rule that asks for a fresh one is satisfied by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from explain.models import ExplanationInput, ExplanationJob
from explain.receipts import endpoint_of

#: Why an explanation is stale, in the order in which they are told.
MODEL, BACKGROUND, CONFIG = "model", "background", "config"
SENTENCES: Mapping[str, Promise] = {
    MODEL: _("The files of the version are others by now: their digest is not the one that was explained."),
    BACKGROUND: _("Background rows that the values compare with were erased, so nobody can run it again."),
    CONFIG: _("The endpoint is asked in another way by now: its address, protocol, options or contract changed."),
}


@dataclass(frozen=True, slots=True)
class Freshness:
    """``reasons``: codes of ``SENTENCES``; none when it is fresh."""

    state: Literal["fresh", "stale"]
    reasons: tuple[str, ...]

    @property
    def fresh(self) -> bool:
        """Whether a gate may count on it as far as time goes."""
        return not self.reasons

    @property
    def sentences(self) -> list[str]:
        """Why it is stale, for people."""
        return [str(SENTENCES[reason]) for reason in self.reasons]


def with_backgrounds(jobs: QuerySet[ExplanationJob]) -> QuerySet[ExplanationJob]:
    """The jobs with the number of background rows that are left, so that a list asks no query for each."""
    kept = ExplanationInput.objects.filter(job=OuterRef("pk"), background=True, body__isnull=False)
    counted = kept.order_by().values("job").annotate(kept=Count("pk")).values("kept")
    return jobs.annotate(background_kept=Coalesce(Subquery(counted, output_field=IntegerField()), 0))


def standing_now(job: ExplanationJob) -> Freshness:
    """How a finished job stands now. Select its version and endpoint with it; at most one query, none for jobs that
    ``with_backgrounds`` read.

    A job without a receipt is compared by its digest and background alone. Raises nothing: what nobody can compare any
    more is stale.
    """
    kept: int = getattr(job, "background_kept", -1)
    if kept < 0 and job.background_count:
        kept = job.inputs.filter(Q(background=True, body__isnull=False)).count()
    reasons = why_stale(
        digest=job.digest,
        digest_now=job.version.digest,
        background_lost=bool(job.background_count) and kept != job.background_count,
        asked=job.receipt.get("endpoint"),
        asked_now=endpoint_of(job),
    )
    return Freshness("stale" if reasons else "fresh", reasons)


def why_stale(
    *,
    digest: str,
    digest_now: str,
    background_lost: bool,
    asked: Mapping[str, Any] | None,
    asked_now: Mapping[str, Any],
) -> tuple[str, ...]:
    """The reasons, from plain values. ``asked``: what the receipt says of the endpoint; receipts of older shapes say
    less, and what they do not say is not compared."""
    holds = {
        MODEL: not digest or digest != digest_now,
        BACKGROUND: background_lost,
        CONFIG: asked is not None and any(asked_now.get(name) != value for name, value in asked.items()),
    }
    return tuple(name for name, stale in holds.items() if stale)
