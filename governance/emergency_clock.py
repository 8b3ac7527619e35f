"""What time does to emergencies, noted once each: over, late with the review, replaced.

No decision depends on it: every gate check compares the times itself. It tells people and brings pages up to date.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import alerts, log
from audit.actors import Actor
from audit.models.events import Event
from governance import emergency_findings
from governance.emergency import decide_again, told
from governance.emergency_review import alert
from governance.models.emergency import Emergency, EmergencyState
from registry.models import Deployment

CLOCK = Actor.system("emergency-clock")
_CONFIRMED = Q(state=EmergencyState.CONFIRMED)


def follow_up() -> int:
    """Note what is due; returns how many emergencies. Safe to run twice or at the same time."""
    now = timezone.now()
    over = Q(starts_at__isnull=False, ends_at__lte=now, ended_noted_at__isnull=True)
    late = _CONFIRMED & Q(review_due_at__lte=now, lapsed_noted_at__isnull=True)
    ordered = (Q(state=EmergencyState.NOT_RATIFIED) | (_CONFIRMED & Q(review_due_at__lte=now))) & Q(
        replaced_at__isnull=True
    )
    noted = _each(over, _ended) + _each(late, _lapsed) + _each(ordered, _replaced)
    with transaction.atomic():  # what stopped serving, and what was late before there were findings about it
        emergency_findings.settle(by=CLOCK)
    return noted


def _each(which: Q, note: Callable[[Emergency, datetime], bool]) -> int:
    """Each row in a transaction of its own, looked at again under its lock; how many were noted."""
    noted = 0
    for number in Emergency.objects.filter(which).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            rows = Emergency.objects.select_related("version__model", "environment").select_for_update(of=("self",))
            row = rows.filter(which, pk=number).first()
            done = row is not None and note(row, timezone.now())
        if row is not None and done:
            noted += 1
            decide_again(row, CLOCK)
    return noted


def _ended(row: Emergency, now: datetime) -> bool:
    row.ended_noted_at = now
    row.save(update_fields=["ended_noted_at"])
    log.append(Event.EMERGENCY_ENDED, row, facts=told(row), by=CLOCK)
    return True


def _lapsed(row: Emergency, now: datetime) -> bool:
    row.lapsed_noted_at = now
    row.save(update_fields=["lapsed_noted_at"])
    log.append(Event.EMERGENCY_LAPSED, row, facts={**told(row), "model": row.version.model.subject}, by=CLOCK)
    sentence = _("Nobody reviewed %(reference)s in time: nothing of %(model)s goes forward until it is reviewed.")
    alerts.put_wrong(alert(row), sentence % {"reference": row.reference, "model": row.version.model.name})
    emergency_findings.settle(by=CLOCK)
    return True


def _replaced(row: Emergency, now: datetime) -> bool:
    serving = Deployment.objects.open().filter(version_id=row.version_id, environment_id=row.environment_id)
    if serving.exists():
        return False
    row.replaced_at = now
    row.save(update_fields=["replaced_at"])
    log.append(Event.EMERGENCY_REPLACED, row, facts=told(row), by=CLOCK)
    emergency_findings.settle(by=CLOCK)
    return True
