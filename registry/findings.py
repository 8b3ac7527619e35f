"""Findings: opened when seen, owned, closed with a reason, resolved when the difference is gone.

The reconciler settles most of them; that a deployment is no longer lawful, or serves by an emergency that nobody
ratified, governance decides and settles here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
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
from registry.models import Deployment, Finding, FindingKind, FindingSeen, FindingState, ModelVersion
from registry.reconciling.comparison import TOLD_FROM_ABOVE, Comparison, Difference, Kind

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
    rows = Finding.objects.select_for_update().standing().exclude(kind__in=TOLD_FROM_ABOVE)
    standing = {row.key: row for row in rows}
    found = {each.key: each for each in comparison.differences}
    over = [
        row
        for key, row in standing.items()
        if key not in found and key not in undecided and comparison.covers(row.scope)
    ]
    return _settle(standing, found, over, at=at, by=by)


@transaction.atomic
def settle_lawful(differences: Iterable[Difference], covered: Collection[str], *, at: datetime, by: Actor) -> Settled:
    """Bring the findings about deployments that are no longer lawful in line with what was decided again.

    ``covered`` are the subjects of the deployments that were decided; a standing finding about one of them that is not
    among ``differences`` is resolved, and so is one about a deployment that does not serve any more. The caller lets
    only one of these go on at a time.
    """
    rows = list(Finding.objects.select_for_update().unlawful())
    standing = {row.key: row for row in rows}
    found = {each.key: each for each in differences}
    serving = _serving({row.concerns for row in rows} - set(covered))
    over = [
        row
        for key, row in standing.items()
        if key not in found and (row.concerns in covered or row.concerns not in serving)
    ]
    return _settle(standing, found, over, at=at, by=by)


@transaction.atomic
def settle_told(kind: Kind, differences: Iterable[Difference], *, at: datetime, by: Actor) -> Settled:
    """Bring the findings of one kind in line with ``differences``, which are all that there are of it. The caller lets
    only one of these go on at a time.
    """
    standing = {row.key: row for row in Finding.objects.select_for_update().standing().filter(kind=kind.value)}
    found = {each.key: each for each in differences}
    over = [row for key, row in standing.items() if key not in found]
    return _settle(standing, found, over, at=at, by=by)


def to_replace(version: ModelVersion) -> list[Finding]:
    """The standing findings that say that another version has to serve instead of this one. One query."""
    rows = Finding.objects.standing().filter(kind=FindingKind.MUST_BE_REPLACED, version=version.subject)
    return list(rows.order_by("pk"))


def _serving(subjects: Collection[str]) -> set[str]:
    """Those of the deployments that serve now."""
    numbers = [int(each.removeprefix("deployment:")) for each in subjects]
    return {row.subject for row in Deployment.objects.open().filter(pk__in=numbers)} if numbers else set()


def unlawful_among(deployments: Iterable[Deployment]) -> dict[str, Finding]:
    """The newest standing finding that says so of each of the deployments that are no longer lawful, by their
    subjects. One query.
    """
    rows = Finding.objects.unlawful().filter(concerns__in=[each.subject for each in deployments]).order_by("pk")
    return {row.concerns: row for row in rows}


def _settle(
    standing: Mapping[str, Finding],
    found: Mapping[str, Difference],
    over: Sequence[Finding],
    *,
    at: datetime,
    by: Actor,
) -> Settled:
    seen_again = [standing[key].pk for key in found if key in standing]
    FindingSeen.objects.filter(finding__in=seen_again).update(at=at, times=F("times") + 1)
    new = [difference for key, difference in found.items() if key not in standing]
    for difference in new:
        _open(difference, at, by=by)
    for row in over:
        _resolve(row, at, by=by)
    return Settled(len(new), len(over))


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
