"""Looking back at an emergency: ratified or not, by somebody who had no part in it, before a deadline.

Nothing is ever ratified by waiting. A review that is late holds every promotion of the model until it is done; what is
not ratified has to be replaced by another version. A rollback skips the signatures too, so it is reviewed alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import alerts, log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import Conflict, NotPermitted
from governance import emergency_findings, policies
from governance.attempts import attempt
from governance.decisions import Verdict
from governance.emergency import (
    EMERGENCIES,
    MOST_TEXT,
    decide_again,
    find,
    must_be_able,
    must_be_proven,
    not_independent,
    number,
    told,
)
from governance.models.decision import Action as Asked
from governance.models.decision import Decision
from governance.models.emergency import Emergency, EmergencyKind, EmergencyState
from governance.models.roles import Action, Role
from governance.policies.quorum import Missing
from registry import naming
from registry.models import Deployment

#: Who reviews a rollback where the sign-off rules say nothing about emergencies, and within which time.
REVIEWERS = (Role.COMPLIANCE_OFFICER.value, Role.DPO.value)
REVIEW_WITHIN = timedelta(days=2)


def review(reference: str, *, ratified: bool, reason: str, reauthenticated_at: datetime | None, by: Actor) -> Emergency:
    """Say whether it was right. It ends what still runs, lifts what a late review held, and cannot be taken back.

    Raises ``BadInput`` without a reason; and, each recorded as ``emergency.refused``: ``NotPermitted`` for a program,
    another role, whoever declared or confirmed it, requested or worked on the version, and without a fresh proof;
    ``Conflict`` when there is nothing to review or it was reviewed before.
    """
    found, said = find(reference), naming.text(reason, field="reason", limit=MOST_TEXT)
    to = EmergencyState.RATIFIED if ratified else EmergencyState.NOT_RATIFIED
    with attempt(Event.EMERGENCY_REFUSED, found.subject, facts={**found.about, **told(found)}, by=by):
        row = find(reference, lock=True)
        if objection := objection_to(row, by):
            raise objection
        must_be_proven(reauthenticated_at)
        if row.state != EmergencyState.CONFIRMED or row.ends_at is None:
            raise Conflict(
                _("%(reference)s is %(state)s: there is nothing to review.")
                % {"reference": row.reference, "state": row.get_state_display()},
                code="emergency.state",
            )
        now = timezone.now()
        EMERGENCIES.transition(
            row,
            to,
            facts={**told(row), "late": row.is_overdue(now)},
            reason=said,
            changes={
                "reviewed_by": by.id,
                "reviewed_at": now,
                "review_reason": said,
                "ends_at": min(row.ends_at, now.replace(microsecond=0)),
            },
            by=by,
        )
        alerts.put_right(alert(row))
        emergency_findings.settle(by=by)
    decide_again(row, by)
    return row


def objection_to(row: Emergency, by: Actor) -> NotPermitted | None:
    """Why this person may not review it, whatever its state; None when they may."""
    try:
        must_be_able(by, Action.EMERGENCY_REVIEW)
    except NotPermitted as refusal:
        return refusal
    if by.id in (row.declared_by, row.confirmed_by):
        return NotPermitted(
            _("You declared or confirmed this emergency; someone else must review it."), code="emergency.self_review"
        )
    if not set(row.review_by) & set(by.roles):
        return NotPermitted(
            _("The sign-off rules let only these roles review it: %(roles)s.") % {"roles": ", ".join(row.review_by)},
            code="emergency.role",
        )
    return not_independent(row, by)


def alert(row: Emergency) -> str:
    """The subject of the alert that a late review raises."""
    return f"{alerts.REVIEWS}{row.reference}"


def open_for_rollback(
    decision: Decision, verdict: Verdict, *, reason: str, incident: str, by: Actor
) -> Emergency | None:
    """Have a rollback reviewed that went without the signatures a promotion would need; None where it would need none.

    In the transaction of the rollback.
    """
    log.require_transaction()
    missing, terms = _would_need(verdict)
    if not missing:
        return None
    at = verdict.decided_at
    within = terms.review_within or REVIEW_WITHIN
    row = Emergency(
        kind=EmergencyKind.ROLLBACK,
        version=decision.version,
        environment=decision.environment,
        subject_digest=decision.subject_digest,
        skipped=[{"rule": one.rule, "role": one.role, "n": one.n} for one in missing],
        incident=incident[:200],
        reason=reason,
        duration=timedelta(),
        review_by=sorted(terms.review_by or REVIEWERS),
        review_within=within,
        state=EmergencyState.CONFIRMED,
        declared_by=by.id,
        declared_at=at,
        starts_at=at,
        ends_at=at,
        review_due_at=at + within,
        ended_noted_at=at,
    )
    number(row)
    row.save(force_insert=True)
    facts = {**told(row), "decision": decision.public_id, "review_due_at": (at + within).isoformat()}
    log.append(Event.EMERGENCY_REVIEW_OPENED, row, facts=facts, reason=reason, by=by)
    return row


def _would_need(verdict: Verdict) -> tuple[Sequence[Missing], policies.Terms]:
    """The signatures that a promotion of the same subject would need, and what their rules say about emergencies."""
    collected = verdict.collected
    if collected is None:
        return (), policies.Terms()
    document = collected.facts.document
    facts = policies.thaw({**document, "promotion": {**document["promotion"], "action": Asked.PROMOTE.value}})
    state = policies.signoff_state(collected.packs, facts, (), collected.people, collected.subject_digest)
    return state.missing, policies.terms_of(collected.packs, facts, state.missing)


def pressing(now: datetime) -> QuerySet[Emergency]:
    """What is not settled: declared, running, to be reviewed, or not ratified while its version still serves
    (``serves``). One query.
    """
    serves = Deployment.objects.open().filter(
        version_id=OuterRef("version_id"), environment_id=OuterRef("environment_id")
    )
    rows = Emergency.objects.select_related("version__model", "environment").annotate(serves=Exists(serves))
    fresh = Q(state=EmergencyState.DECLARED, declared_at__gt=now - timedelta(hours=1))
    return rows.filter(fresh | Q(state=EmergencyState.CONFIRMED) | Q(state=EmergencyState.NOT_RATIFIED, serves=True))


def must_be_replaced(row: Emergency, now: datetime, *, serves: bool) -> bool:
    """Whether another version has to serve: it was not ratified, or nobody looked in time."""
    return serves and (row.state == EmergencyState.NOT_RATIFIED or row.is_overdue(now))
