"""Findings of the reconciler: opened when seen, owned, closed with a reason, resolved when the difference is gone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.refusals import Conflict, NotKnown
from registry import naming
from registry.models import Finding, FindingSeen, FindingState
from registry.reconciling.comparison import Comparison, Difference

#: What people do with a finding.
HANDLING = Lifecycle(
    field="state",
    transitions={
        ("open", "taken"): Event.FINDING_TAKEN,
        ("taken", "taken"): Event.FINDING_TAKEN,
        ("open", "closed"): Event.FINDING_CLOSED,
        ("taken", "closed"): Event.FINDING_CLOSED,
    },
)
#: What happens by itself when the difference is gone; one that was closed before is only marked as gone.
RESOLVING = Lifecycle(
    field="state",
    transitions={(state, "closed"): Event.FINDING_RESOLVED for state in ("open", "taken", "closed")},
)


@dataclass(frozen=True, slots=True)
class Settled:
    """How many findings are new, and how many are gone since the look before."""

    opened: int
    gone: int


@transaction.atomic
def settle(comparison: Comparison, undecided: Collection[str], *, at: datetime, by: Actor) -> Settled:
    """Bring the findings in line with one look.

    A difference that stands already is only seen again, without an entry. A standing one that this look could have
    seen and did not see is resolved, unless its key is ``undecided``: the record changed while we looked.
    """
    standing = {row.key: row for row in Finding.objects.select_for_update().standing()}
    found = {each.key: each for each in comparison.differences}
    seen_again = [standing[key].pk for key in found if key in standing]
    FindingSeen.objects.filter(finding__in=seen_again).update(at=at, times=F("times") + 1)
    new = [difference for key, difference in found.items() if key not in standing]
    for difference in new:
        _open(difference, at, by=by)
    gone = [
        row
        for key, row in standing.items()
        if key not in found and key not in undecided and comparison.covers(row.scope)
    ]
    for row in gone:
        _resolve(row, at, by=by)
    return Settled(len(new), len(gone))


def _open(difference: Difference, at: datetime, *, by: Actor) -> Finding:
    before = Finding.objects.filter(key=difference.key).first()
    finding = Finding(
        key=difference.key,
        kind=difference.kind.value,
        concerns=difference.subject[:200],
        version=difference.version[:200],
        environment=difference.environment,
        scope=difference.scope[:200],
        recorded=dict(difference.recorded),
        observed=dict(difference.observed),
        first_seen=at,
    )
    finding.save()
    FindingSeen.objects.create(finding=finding, at=at)
    facts = {**_facts(finding), "recorded": finding.recorded, "observed": finding.observed}
    log.append(Event.FINDING_OPENED, finding, facts={**facts, "earlier": before.subject if before else ""}, by=by)
    return finding


def _resolve(finding: Finding, at: datetime, *, by: Actor) -> None:
    accepted = finding.state == FindingState.CLOSED
    changes: dict[str, Any] = {"gone": at}
    if not accepted:
        changes |= {"closed_by": by.id, "closed_at": at}
    RESOLVING.transition(finding, FindingState.CLOSED, facts=_facts(finding), changes=changes, by=by)


@transaction.atomic
def take(number: int, *, by: Actor) -> Finding:
    """Become the owner of a finding, also of one that somebody else has. Raises ``Conflict`` when it is closed or
    this person's already, ``NotKnown`` when there is none.
    """
    finding = _locked(number)
    if finding.state == FindingState.TAKEN and finding.owner == by.id:
        raise Conflict(_("This finding is yours already."), code="finding.taken")
    HANDLING.transition(
        finding,
        FindingState.TAKEN,
        facts={**_facts(finding), "before": {"owner": finding.owner}, "after": {"owner": by.id}},
        changes={"owner": by.id},
        by=by,
    )
    return finding


@transaction.atomic
def close(number: int, *, reason: str, by: Actor) -> Finding:
    """Close a finding with a reason. While exactly this difference stands it stays closed, and is counted as accepted;
    another difference, or this one after it was gone, is a new finding.

    Raises ``BadInput`` without a reason, ``Conflict`` when it is closed already, ``NotKnown`` when there is none.
    """
    said = naming.text(reason, field="reason", limit=2000)
    finding = _locked(number)
    HANDLING.transition(
        finding,
        FindingState.CLOSED,
        facts=_facts(finding),
        reason=said,
        changes={"closed_by": by.id, "closed_at": timezone.now(), "reason": said},
        by=by,
    )
    return finding


def find(number: int) -> Finding:
    """The finding with this number, with when it was last seen. Raises ``NotKnown``."""
    found = Finding.objects.select_related("seen").filter(pk=number).first()
    if found is None:
        raise NotKnown(_("There is no finding %(number)s.") % {"number": number}, code="finding.unknown")
    return found


def _locked(number: int) -> Finding:
    found = Finding.objects.select_for_update().filter(pk=number).first()
    if found is None:
        raise NotKnown(_("There is no finding %(number)s.") % {"number": number}, code="finding.unknown")
    return found


def _facts(finding: Finding) -> dict[str, Any]:
    return {"kind": finding.kind, "concerns": finding.concerns, "key": finding.key, "scope": finding.scope}
