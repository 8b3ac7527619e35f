"""Waivers that ended: which of them nobody has followed up yet, and what their end did. Read by ``rechecks``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from governance.models.waiver import Waiver, WaiverState
from governance.policies.vocabulary import format_time
from registry.models import Deployment

#: Deployments that an entry names; the rest is counted.
NAMED = 200


def ended(now: datetime) -> list[Waiver]:
    """The waivers that excused something and do no longer, not followed up yet, their rows locked."""
    return list(
        Waiver.objects.select_for_update(of=("self",))
        .select_related("version__model", "environment")
        .filter(Q(state=WaiverState.REVOKED) | Q(ends_at__lte=now))
        .filter(followed_up_at__isnull=True, approved_at__isnull=False)
        .order_by("pk")
    )


def over(rows: Collection[Waiver], at: datetime) -> list[Waiver]:
    """Those of ``rows`` that were approved and ended, whoever followed them up."""
    return [row for row in rows if row.approved_at and (row.state == WaiverState.REVOKED or row.ends_at <= at)]


def excused(waiver: Waiver, deployment: Deployment, finding: Mapping[str, Any]) -> bool:
    """Whether the finding about what serves is one that the waiver named."""
    same = (waiver.version_id, waiver.environment_id) == (deployment.version_id, deployment.environment_id)
    named = (str(finding["pack"]), str(finding["rule"])) == (waiver.pack, waiver.rule)
    return same and named and str(finding["subject"]) in waiver.subjects


def named(rows: Sequence[Waiver]) -> dict[str, str]:
    """The waivers that ended over a finding, with the moment at which the last of them did."""
    if not rows:
        return {}
    last = max(min(row.revoked_at or row.ends_at, row.ends_at) for row in rows)
    told = ", ".join(sorted(row.reference for row in rows)[:NAMED])
    return {"waiver": told, "ended": format_time(last)}


def note(waiver: Waiver, decided: int, fallen: Sequence[Deployment], *, by: Actor) -> None:
    """The entry that says what the end of one waiver did."""
    waiver.followed_up_at = timezone.now()
    waiver.save(update_fields=["followed_up_at"])
    facts = {
        "how": "revoked" if waiver.state == WaiverState.REVOKED else "expired",
        "rule": waiver.rule,
        "decided_again": decided,
        "no_longer_lawful": len(fallen),
        "deployments": [row.subject for row in fallen[:NAMED]],
    }
    log.append(Event.WAIVER_ENDED, waiver, facts=facts, by=by)
