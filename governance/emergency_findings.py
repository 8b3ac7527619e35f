"""What serves by an emergency that was not ratified, or that nobody looked at in time: a finding until it is replaced.

Settled at once by the review and by whatever makes another version serve, in their transactions, and by the clock.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from audit import log
from audit.actors import Actor
from governance.models.emergency import Emergency, EmergencyState
from registry import findings
from registry.findings import Settled
from registry.models import Deployment
from registry.reconciling.comparison import Difference, Kind

#: First half of the advisory lock's key («emer» in ASCII): one at a time, so that two workers open one finding.
LOCK = int.from_bytes(b"emer")


def settle(*, by: Actor) -> Settled:
    """Bring the findings in line with the emergencies and with what serves. Safe to repeat: what stands already gets no
    second entry. Must run inside the transaction of what changed; two of them wait for each other until it ends.
    """
    log.require_transaction()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK])
    now = timezone.now()
    return findings.settle_told(Kind.MUST_BE_REPLACED, _differences(now), at=now, by=by)


def _differences(now: datetime) -> list[Difference]:
    """One for each emergency; being late and not being ratified are two findings, so that accepting one hides no other.
    Two queries.
    """
    late = Q(state=EmergencyState.CONFIRMED, review_due_at__lte=now)
    rows = Emergency.objects.select_related("version__model", "environment")
    ordered = list(rows.filter(Q(state=EmergencyState.NOT_RATIFIED) | late, replaced_at__isnull=True).order_by("pk"))
    serving = {
        (each.version_id, each.environment_id): each
        for each in Deployment.objects.open().filter(version__in=[row.version_id for row in ordered])
    }
    found = [(row, serving.get((row.version_id, row.environment_id))) for row in ordered]
    return [_difference(row, each, now) for row, each in found if each]


def _difference(row: Emergency, deployment: Deployment, now: datetime) -> Difference:
    standing = row.standing(now)
    return Difference(
        kind=Kind.MUST_BE_REPLACED,
        subject=row.subject,
        scope=f"replaced:{row.pk}",
        detail=(standing,),
        version=row.version.subject,
        environment=row.environment.slug,
        recorded={"version": row.version.subject, "since": deployment.since.isoformat()},
        observed={"emergency": row.reference, "standing": standing, "incident": row.incident},
    )
