"""Break-glass: two people let one version go without its signatures, for a time, in an emergency (journey J7).

An emergency decides nothing here. It is a fact that the pure engine reads (``policies.breaking``), which asks again
whether two people with the right roles declared and confirmed it, whether it is for exactly this subject, and whether
its time runs. Rules that fail, incidents and rejections deny as ever. Others review it later (``emergency_review``).

Who worked on the version or requested it may declare: at three in the morning they are who knows what is broken. The
second person may be neither, so one of the two is independent whatever happens, and so is whoever reviews it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refused
from governance import access, decisions, policies, promotions, sessions, wording
from governance.attempts import attempt
from governance.decisions import Verdict
from governance.facts import Case
from governance.models.decision import Action as Asked
from governance.models.emergency import Emergency, EmergencyState
from governance.models.promotion import OPEN_STATES, Promotion, PromotionState
from governance.models.roles import Action
from governance.models.user import User
from governance.policies.quorum import Missing
from registry import naming
from registry.models import Environment, ModelVersion

EMERGENCIES = Lifecycle(
    field="state",
    transitions={
        (EmergencyState.DECLARED.value, EmergencyState.CONFIRMED.value): Event.EMERGENCY_CONFIRMED,
        (EmergencyState.DECLARED.value, EmergencyState.WITHDRAWN.value): Event.EMERGENCY_WITHDRAWN,
        (EmergencyState.CONFIRMED.value, EmergencyState.CONFIRMED.value): Event.EMERGENCY_STOPPED,
        (EmergencyState.CONFIRMED.value, EmergencyState.RATIFIED.value): Event.EMERGENCY_RATIFIED,
        (EmergencyState.CONFIRMED.value, EmergencyState.NOT_RATIFIED.value): Event.EMERGENCY_NOT_RATIFIED,
    },
)
MOST_TEXT = 4000
MOST_INCIDENT = 200
MOST_HOURS = 72


def declare(
    version: ModelVersion,
    environment: Environment,
    *,
    incident: str,
    reason: str,
    hours: int,
    reauthenticated_at: datetime | None,
    by: Actor,
) -> Emergency:
    """Ask that ``version`` may go to ``environment`` without the signatures that are missing, for ``hours``; nothing
    goes until a second person confirms. ``reauthenticated_at`` is when ``by`` last proved who they are.

    Raises ``BadInput`` without a reason, an incident or a time; and, each recorded as ``emergency.refused``:
    ``NotPermitted`` for a program, another role and without a fresh proof, ``Conflict`` when one is under way there,
    ``Refused`` when signatures are not what is missing, or when a rule that asks for them cannot be broken.
    """
    said, which = _texts(reason, incident, hours)
    facts: dict[str, Any] = {"environment": environment.slug, "version": version.subject, "incident": which}
    with attempt(Event.EMERGENCY_REFUSED, version.subject, facts=facts, by=by):
        must_be_able(by, Action.EMERGENCY_DECLARE)
        must_be_proven(reauthenticated_at)
        _must_be_the_only_one(version, environment)
        verdict = decisions.evaluate(_case(version, environment, by), also=[by.id])
        terms = _terms(verdict)
        _must_hold_a_role(by, terms.roles)
        duration = timedelta(hours=hours)
        if duration > terms.max_duration:
            raise Refused(
                _("The rules let an emergency last %(hours)d hours at most.")
                % {"hours": terms.max_duration // timedelta(hours=1)},
                code="emergency.too_long",
            )
        return _declare(version, environment, which, said, duration, verdict, terms, by)


def _declare(
    version: ModelVersion,
    environment: Environment,
    incident: str,
    reason: str,
    duration: timedelta,
    verdict: Verdict,
    terms: policies.Terms,
    by: Actor,
) -> Emergency:
    row = Emergency(
        version=version,
        environment=environment,
        subject_digest=verdict.subject_digest,
        skipped=[dict(one) for one in verdict.signoff["missing"]],
        incident=incident,
        reason=reason,
        duration=duration,
        review_by=sorted(terms.review_by),
        review_within=terms.review_within,
        declared_by=by.id,
        declared_at=timezone.now(),
    )
    number(row)
    row.save(force_insert=True)
    log.append(Event.EMERGENCY_DECLARED, row, facts=told(row), reason=reason, by=by)
    return row


def number(row: Emergency) -> None:
    """Give a new row its reference."""
    row.pk = Emergency.next_number()
    row.reference = f"EM-{row.declared_at:%Y}-{row.pk:04d}"


def told(row: Emergency) -> dict[str, Any]:
    """What every entry about it says."""
    return {
        "incident": row.incident,
        "subject_digest": row.subject_digest,
        "skipped": row.skipped,
        "minutes": row.duration // timedelta(minutes=1),
        "review_by": row.review_by,
    }


def _texts(reason: str, incident: str, hours: int) -> tuple[str, str]:
    said, which = reason.strip(), incident.strip()
    fields = {}
    if not said or len(said) > MOST_TEXT or "\x00" in said:
        fields["reason"] = _("Say why it cannot wait for the signatures, in at most %(limit)d characters.") % {
            "limit": MOST_TEXT
        }
    if not which or len(which) > MOST_INCIDENT or "\x00" in which:
        fields["incident"] = _("Name the incident, for example INC-204.")
    if isinstance(hours, bool) or not isinstance(hours, int) or not 1 <= hours <= MOST_HOURS:
        fields["hours"] = _("A whole number of hours from 1 to %(most)d.") % {"most": MOST_HOURS}
    if fields:
        raise BadInput(_("The emergency cannot be declared as sent."), code="emergency.invalid", fields=fields)
    return said, which


def must_be_able(by: Actor, action: Action) -> None:
    """Raises ``NotPermitted`` for a program, and for whoever has no role that may do ``action``."""
    if by.kind != "user":
        raise NotPermitted(_("Only a person can do this in an emergency."), code="emergency.not_a_person")
    if not access.held_by_roles(by.roles, action):
        raise NotPermitted(access.refusal_of(action), code=f"access.{action}")


def must_be_proven(reauthenticated_at: datetime | None) -> None:
    """Raises ``NotPermitted`` unless the person proved a moment ago who they are."""
    if not sessions.is_fresh(reauthenticated_at):
        raise NotPermitted(_("Enter your password again."), code="emergency.not_reauthenticated")


def _must_hold_a_role(by: Actor, roles: frozenset[str]) -> None:
    if not roles & set(by.roles):
        raise NotPermitted(
            _("The sign-off rules let only these roles declare and confirm an emergency: %(roles)s.")
            % {"roles": ", ".join(sorted(roles))},
            code="emergency.role",
        )


def _must_be_the_only_one(version: ModelVersion, environment: Environment) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('emergency'), %s)", [version.pk])
    now = timezone.now()
    rows = Emergency.objects.filter(version=version, environment=environment, state__in=("declared", "confirmed"))
    for row in rows:
        if row.runs(now) or (row.state == EmergencyState.DECLARED and not row.is_void(now)):
            raise Conflict(
                _("%(reference)s is under way for this version there.") % {"reference": row.reference},
                code="emergency.under_way",
            )


def _case(version: ModelVersion, environment: Environment, by: Actor) -> Case:
    """The question that the gate would answer: of the newest promotion that still says something, else of the version
    at once. A rejected one is among them: no emergency goes past a veto.
    """
    rows = Promotion.objects.select_related("version__model", "environment").filter(
        version=version, environment=environment
    )
    promotion = rows.order_by("-pk").first()
    if promotion is not None and promotion.state in (*OPEN_STATES, PromotionState.REJECTED):
        return decisions.case_of(promotion)
    return Case(version, environment, Asked.PROMOTE, promotions.valid_plan({}), requested_by=by.id)


def _terms(verdict: Verdict) -> policies.Terms:
    """On which terms the missing signatures may be skipped. Raises ``Refused`` when they are not all that lacks."""
    collected = verdict.collected
    if verdict.outcome == "allow":
        raise Refused(_("Nothing is missing: the gate allows it without an emergency."), code="emergency.allowed")
    if verdict.outcome != "pending" or collected is None:
        raise Refused(
            _("An emergency skips signatures and nothing else; this is denied: %(why)s") % {"why": verdict.summary},
            reasons=[str(each["message"]) for each in verdict.findings if wording.is_problem(each)],
            code="emergency.denied",
        )
    missing = [Missing(each["rule"], each["role"], each["n"]) for each in verdict.signoff["missing"]]
    terms = policies.terms_of(collected.packs, collected.facts, missing)
    if terms.refusal:
        raise Refused(f"{terms.refusal}.", code="emergency.not_breakable")
    again = policies.evaluate(collected.packs, collected.facts)
    if stacked := policies.stacked(terms, again, collected.packs):
        raise Refused(
            _("%(rules)s must hold by itself in an emergency, and is only waived.")
            % {"rules": ", ".join(sorted({one.rule for one in stacked}))},
            code="emergency.stacked",
        )
    return terms


def find(reference: str, *, lock: bool = False) -> Emergency:
    """The emergency with this reference. Raises ``NotKnown``."""
    rows = Emergency.objects.select_related("version__model", "environment")
    found: Emergency | None = (
        (rows.select_for_update(of=("self",)) if lock else rows).filter(reference=reference).first()
    )
    if found is None:
        raise NotKnown(
            _("There is no emergency %(reference)s.") % {"reference": reference[:40]}, code="emergency.unknown"
        )
    return found


def confirm(reference: str, *, reauthenticated_at: datetime | None, by: Actor) -> Emergency:
    """Let what somebody else declared begin now; its review is due after its end.

    Raises, each recorded as ``emergency.refused``: ``NotPermitted`` for a program, who declared it, who requested or
    worked on the version, another role, and without a fresh proof; ``Conflict`` when it was confirmed, withdrawn or
    left too long before, or when the subject is another by now; ``Refused`` as ``declare`` does.
    """
    found = find(reference)
    with attempt(Event.EMERGENCY_REFUSED, found.subject, facts={**found.about, **told(found)}, by=by):
        row = find(reference, lock=True)
        if objection := objection_to(row, by):
            raise objection
        must_be_proven(reauthenticated_at)
        _must_be_waiting(row)
        verdict = decisions.evaluate(_case(row.version, row.environment, by), also=[by.id, row.declared_by])
        if verdict.subject_digest != row.subject_digest:
            raise Conflict(
                _("What would go is not what was declared any more: declare it anew."), code="emergency.stale_subject"
            )
        terms = _terms(verdict)
        _must_hold_a_role(by, terms.roles)
        _begin(row, verdict, by)
    decide_again(row, by)
    return row


def objection_to(row: Emergency, by: Actor) -> NotPermitted | None:
    """Why this person may not confirm it, whatever its state and rules; None when they may. Two queries at most."""
    try:
        must_be_able(by, Action.EMERGENCY_DECLARE)
    except NotPermitted as refusal:
        return refusal
    if row.declared_by == by.id:
        return NotPermitted(
            _("You declared this emergency; someone else must confirm it."), code="emergency.self_confirmation"
        )
    return not_independent(row, by)


def _must_be_waiting(row: Emergency) -> None:
    if row.state == EmergencyState.DECLARED and row.is_void(timezone.now()):
        raise Conflict(_("Nobody confirmed it within an hour: declare it anew."), code="emergency.void")
    if row.state != EmergencyState.DECLARED:
        raise Conflict(
            _("%(reference)s is %(state)s by now. Load the page again.")
            % {"reference": row.reference, "state": row.get_state_display()},
            code="emergency.state",
        )


def _begin(row: Emergency, verdict: Verdict, by: Actor) -> None:
    begins = timezone.now().replace(microsecond=0)  # decisions are made at whole seconds
    ends = begins + row.duration
    EMERGENCIES.transition(
        row,
        EmergencyState.CONFIRMED,
        facts={
            **told(row),
            "declared_by": row.declared_by,
            "ends_at": ends.isoformat(),
            "review_due_at": (ends + row.review_within).isoformat(),
        },
        changes={
            "confirmed_by": by.id,
            "starts_at": begins,
            "ends_at": ends,
            "review_due_at": ends + row.review_within,
            "skipped": [dict(one) for one in verdict.signoff["missing"]],
        },
        by=by,
    )


def not_independent(row: Emergency, by: Actor) -> NotPermitted | None:
    """Why this person is no independent second or third one; None when they are. Two queries at most."""
    if Promotion.objects.filter(version_id=row.version_id, requested_by=by.id).exists():
        return NotPermitted(
            _("You requested the promotion of this version; someone independent must do this."),
            code="emergency.requester",
        )
    known = {name.lower() for name in row.version.contributors}
    names = User.objects.filter(uuid=by.id.partition(":")[2]).values_list("username", flat=True)
    if by.id in known or known & set(names):
        return NotPermitted(
            _("You worked on this version; someone independent must do this."), code="emergency.contributor"
        )
    return None


def stop(reference: str, *, reason: str, by: Actor) -> Emergency:
    """Withdraw one that nobody confirmed, or end one before its time. One person is enough: stopping must be easy.

    Its review stays due. Raises ``BadInput`` without a reason, ``NotPermitted`` for who could neither declare nor
    review one, ``Conflict`` when it is over already.
    """
    said = naming.text(reason, field="reason", limit=MOST_TEXT)
    if by.kind != "user" or not any(
        access.held_by_roles(by.roles, each) for each in (Action.EMERGENCY_DECLARE, Action.EMERGENCY_REVIEW)
    ):
        must_be_able(by, Action.EMERGENCY_DECLARE)
    with transaction.atomic():
        row, now = find(reference, lock=True), timezone.now()
        if row.state == EmergencyState.CONFIRMED and not row.runs(now):
            raise Conflict(_("The time of %(reference)s is over.") % {"reference": reference}, code="emergency.over")
        to = EmergencyState.CONFIRMED if row.state == EmergencyState.CONFIRMED else EmergencyState.WITHDRAWN
        changes = {"ends_at": now.replace(microsecond=0)} if to == EmergencyState.CONFIRMED else {}
        EMERGENCIES.transition(row, to, facts=told(row), reason=said, changes=changes, by=by)
    decide_again(row, by)
    return row


def decide_again(row: Emergency, by: Actor) -> None:
    """The open promotions of the model: their pages say at once what changed."""
    rows = Promotion.objects.filter(version__model_id=row.version.model_id, state__in=OPEN_STATES)
    promotions.refresh_all(list(rows.order_by("pk").values_list("pk", flat=True)), by=by)
