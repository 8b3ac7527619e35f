"""Permits that were used ahead of a deployment (``rollouts.claim``) and to which none was recorded in time.

Such a use lapses: the same permit records nothing any more, and the approval is free for another one. Only an entry
frees it; a clock that stands still leaves it blocked.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import CharField, Exists, OuterRef, QuerySet
from django.db.models.functions import Cast
from django.utils import timezone

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from governance import promotions
from governance.models.permit import RECORD_WITHIN, Permit
from registry.models import Deployment

CLOCK = Actor.system("permit-clock")


def unrecorded() -> QuerySet[Permit]:
    """The used permits to which no deployment belongs."""
    recorded = Deployment.objects.filter(permit_id=Cast(OuterRef("pk"), CharField()))
    return Permit.objects.filter(~Exists(recorded), consumed_at__isnull=False)


def lapse_due() -> int:
    """Note every use that nothing followed in time; returns how many. Safe to run twice or at the same time."""
    due = unrecorded().filter(lapsed_at__isnull=True, consumed_at__lte=timezone.now() - RECORD_WITHIN)
    numbers = due.order_by("pk").values_list("pk", "decision__promotion_id")
    return sum(_lapse(permit, promotion) for permit, promotion in list(numbers))


@transaction.atomic
def _lapse(number: int, promotion: int | None) -> bool:
    """Whether it lapsed now. Locks the promotion, then the permit, as ``rollouts.record_deploy`` does: whichever comes
    second finds what the other did.
    """
    if promotion is not None:
        promotions.locked(promotion)
    permit = Permit.objects.select_for_update(of=("self",)).select_related("decision__version__model").get(pk=number)
    if not permit.is_late(timezone.now()) or permit.lapsed_at or not unrecorded().filter(pk=number).exists():
        return False
    permit.lapsed_at = timezone.now()
    permit.save(update_fields=["lapsed_at"])
    facts = {
        "decision": permit.decision.public_id,
        "consumed_by": permit.consumed_by,
        "before": {"lapsed_at": ""},
        "after": {"lapsed_at": permit.lapsed_at.isoformat()},
    }
    log.append(Event.PERMIT_LAPSED, permit, facts=facts, by=CLOCK)
    return True
