"""What was allowed and never became a deployment: facts for the reconciler, which lies below and cannot ask.

An approval without its deployment may be harmless, or a deployment that nobody recorded.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from governance import claims
from governance.models.permit import Permit
from governance.models.promotion import Promotion, PromotionState
from registry.models import Deployment
from registry.reconciling.snapshots import Approval


def undeployed() -> list[Approval]:
    """Approved promotions that wait for their deployment; pairs of version and environment that got a permit which ran
    out unused, when nothing of that model was deployed there since and the version does not serve there anyway; and
    used permits to which no deployment belongs; when such a use lapsed, until a later deployment is recorded. Three
    queries.
    """
    return [*_promotions(), *_unused(), *_used()]


def _promotions() -> Iterator[Approval]:
    rows = Promotion.objects.filter(state=PromotionState.APPROVED).select_related(
        "version__model", "environment", "decided_by"
    )
    for row in rows:
        since = row.decided_by.decided_at if row.decided_by else row.requested_at
        yield Approval(row.subject, "promotion", row.version.subject, row.environment.slug, since)


def _unused() -> Iterator[Approval]:
    there = Deployment.objects.filter(
        environment=OuterRef("decision__environment"), model=OuterRef("decision__version__model")
    )
    answered = there.filter(
        Q(since__gte=OuterRef("issued_at")) | Q(until__isnull=True, version=OuterRef("decision__version"))
    )
    rows = (
        Permit.objects.filter(~Exists(answered), consumed_at__isnull=True, expires_at__lt=timezone.now())
        .exclude(decision__promotion__state=PromotionState.APPROVED)  # told of the promotion
        .order_by("decision__version_id", "decision__environment_id", "-issued_at")
        .distinct("decision__version_id", "decision__environment_id")
        .select_related("decision__version__model", "decision__environment")
    )
    for row in rows:
        version, place = row.decision.version, row.decision.environment
        yield Approval(version.subject, "permit", version.subject, place.slug, row.issued_at)


def _used() -> Iterator[Approval]:
    since = Deployment.objects.filter(
        environment=OuterRef("decision__environment"),
        model=OuterRef("decision__version__model"),
        since__gte=OuterRef("consumed_at"),
    )
    settled = Q(lapsed_at__isnull=False) & Exists(since)
    rows = claims.unrecorded().exclude(settled).select_related("decision__version__model", "decision__environment")
    for row in rows:
        decision = row.decision
        used = row.consumed_at or row.issued_at
        subject = f"decision:{decision.public_id}"
        yield Approval(subject, "permit_used", decision.version.subject, decision.environment.slug, used)
