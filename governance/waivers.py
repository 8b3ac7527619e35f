"""Propose, approve and revoke waivers: one rule excused for one version in one environment, until an end.

A waiver decides nothing here. It is a fact that the pure engine reads, which asks again whether it was approved, runs
now and names the rule and the subject; what the rule found stays on record as failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Unpack

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refused
from governance import access, following, policies, promotions, second_person, sessions
from governance import facts as collecting
from governance.at_keyboard import AtKeyboard
from governance.attempts import attempt
from governance.facts import Case
from governance.models.decision import Action as Asked
from governance.models.promotion import OPEN_STATES, Promotion
from governance.models.roles import Action
from governance.models.user import User
from governance.models.waiver import LONGEST, Waiver, WaiverState
from governance.packs import active_packs
from registry import naming, queries
from registry.models import Environment, ModelVersion

WAIVERS = Lifecycle(
    field="state",
    transitions={
        (WaiverState.PROPOSED.value, WaiverState.ACTIVE.value): Event.WAIVER_APPROVED,
        (WaiverState.PROPOSED.value, WaiverState.REVOKED.value): Event.WAIVER_REVOKED,
        (WaiverState.ACTIVE.value, WaiverState.REVOKED.value): Event.WAIVER_REVOKED,
    },
)
MOST_TEXT = 4000
MOST_SUBJECTS = 100
#: A start so long ago counts as now: the clock of who asks is another one.
JUST_NOW = timedelta(minutes=1)


def propose(
    version: ModelVersion,
    environment: Environment,
    *,
    pack: str,
    rule: str,
    subjects: Sequence[str],
    reason: str,
    control: str,
    ends_at: datetime,
    starts_at: datetime | None = None,
    by: Actor,
) -> Waiver:
    """Ask that ``rule`` of ``pack`` be excused about ``subjects``; it excuses nothing until a second person approves.

    ``subjects`` are those of findings: the version, the environment, or data sets (``dataset:…``). ``starts_at`` None
    is now. Raises ``BadInput`` for a rule or subject that is not there, a missing text, no end, a start in the past or
    a window of more than ``LONGEST``; ``Refused`` for a rule that cannot be waived.
    """
    now = timezone.now()
    starts = now if starts_at is None or _is_just_now(starts_at, now) else starts_at
    named = sorted({each.strip() for each in subjects if each.strip()})
    said, instead = reason.strip(), control.strip()
    fields = _texts(said, instead) | _window(starts, ends_at, now) | _named(version, environment, named)
    if fields:
        raise BadInput(_("The waiver cannot be proposed as sent."), code="waiver.invalid", fields=fields)
    compiled = _must_be_waivable(pack, rule)
    return _propose(
        Waiver(
            pack=pack,
            pack_version=compiled.version,
            rule=rule,
            subjects=named,
            version=version,
            environment=environment,
            reason=said,
            control=instead,
            starts_at=starts.replace(microsecond=0),  # decisions are made at whole seconds
            ends_at=ends_at.replace(microsecond=0),
            requested_by=by.id,
            requested_at=now,
        ),
        by,
    )


@transaction.atomic
def _propose(waiver: Waiver, by: Actor) -> Waiver:
    waiver.pk = Waiver.next_number()
    waiver.reference = f"WV-{waiver.requested_at:%Y}-{waiver.pk:04d}"
    waiver.save(force_insert=True)
    log.append(
        Event.WAIVER_PROPOSED,
        waiver,
        facts={**_facts(waiver), "starts_at": waiver.starts_at.isoformat(), "ends_at": waiver.ends_at.isoformat()},
        private={"control": waiver.control},
        reason=waiver.reason,
        by=by,
    )
    return waiver


def _facts(waiver: Waiver) -> dict[str, object]:
    told = {"pack": waiver.pack, "pack_version": waiver.pack_version, "rule": waiver.rule}
    return {**told, "subjects": waiver.subjects}


def _texts(reason: str, control: str) -> dict[str, str]:
    """Field -> what is wrong with the two texts."""
    asked = {
        "reason": (reason, _("Say why the rule cannot be met.")),
        "control": (control, _("Say what is done instead: the compensating control.")),
    }
    found = {name: sentence for name, (text, sentence) in asked.items() if not text}
    limit = _("At most %(limit)d characters.") % {"limit": MOST_TEXT}
    return found | {name: limit for name, (text, _why) in asked.items() if len(text) > MOST_TEXT or "\x00" in text}


def _is_just_now(starts_at: datetime, now: datetime) -> bool:
    return timezone.is_aware(starts_at) and now - JUST_NOW <= starts_at <= now


def _window(starts_at: datetime, ends_at: datetime, now: datetime) -> dict[str, str]:
    """Field -> what is wrong with the time for which it is asked."""
    zone = _("Give the moment with its time zone.")
    naive = {name: zone for name, at in (("starts_at", starts_at), ("ends_at", ends_at)) if timezone.is_naive(at)}
    if naive:
        return naive
    if starts_at < now:
        return {"starts_at": _("The start lies in the past: nothing is excused afterwards.")}
    if starts_at > now + LONGEST:
        return {"starts_at": _("The start lies more than %(days)d days ahead.") % {"days": LONGEST.days}}
    if ends_at <= now:
        return {"ends_at": _("The end lies in the past.")}
    if ends_at - starts_at < timedelta(seconds=1):
        return {"ends_at": _("The end lies before the start.")}
    if ends_at - starts_at > LONGEST:
        sentence = _("A waiver lasts %(days)d days at most; then another one is asked for.")
        return {"ends_at": sentence % {"days": LONGEST.days}}
    return {}


def _named(version: ModelVersion, environment: Environment, subjects: Sequence[str]) -> dict[str, str]:
    """Field -> what is wrong with the subjects: one that is not there would silently be excused for nothing."""
    if not subjects or len(subjects) > MOST_SUBJECTS:
        return {"subjects": _("Name the subjects of the findings, at most %(limit)d.") % {"limit": MOST_SUBJECTS}}
    sets = queries.subjects_known(each for each in subjects if each.startswith("dataset:"))
    unknown = sorted(set(subjects) - sets - {version.subject, environment.subject})
    if not unknown:
        return {}
    sentence = _(
        "No finding about %(version)s in %(environment)s is about %(unknown)s: name the version, the environment or "
        "data sets of the registry (dataset:…)."
    )
    told = ", ".join(each[:80] for each in unknown[:10])
    return {"subjects": sentence % {"version": version.label, "environment": environment.slug, "unknown": told}}


def _must_be_waivable(pack: str, rule: str) -> policies.CompiledPack:
    """The pack in force. Raises ``BadInput`` for a rule that is not in force, ``Refused`` for one that says no."""
    if rule.startswith("ENGINE-"):
        raise Refused(
            _("%(rule)s is a finding of the decision engine itself: nothing can excuse it.") % {"rule": rule[:80]},
            code="waiver.engine",
        )
    try:
        compiled = next((each for each in active_packs() if each.id == pack), None)
    except policies.PackError as error:
        raise Refused(_("The rules in force cannot be read: %(why)s") % {"why": error}, code="waiver.packs") from error
    if compiled is None:
        sentence = _("No pack %(pack)s is in force.") % {"pack": pack[:80] or "–"}
        raise BadInput(sentence, code="waiver.pack", fields={"pack": sentence})
    found = next((each.rule for each in compiled.rules if each.rule.id == rule), None)
    if found is None:
        sentence = _("The pack %(pack)s, version %(version)d, has no rule %(rule)s.") % {
            "pack": pack,
            "version": compiled.version,
            "rule": rule[:80] or "–",
        }
        raise BadInput(sentence, code="waiver.rule", fields={"rule": sentence})
    if not found.waivable:
        raise Refused(
            _("The rule %(rule)s cannot be waived: its pack does not say “waivable: true”. Its remedy is: %(remedy)s")
            % {"rule": rule, "remedy": found.remedy},
            code="waiver.not_waivable",
        )
    return compiled


def waivable_rules(packs: Sequence[policies.CompiledPack]) -> set[tuple[str, str]]:
    """Pack and rule of everything that a waiver can excuse."""
    return {(pack.id, each.rule.id) for pack in packs for each in pack.rules if each.rule.waivable}


def find(reference: str, *, lock: bool = False) -> Waiver:
    """The waiver with this reference. Raises ``NotKnown``."""
    rows = Waiver.objects.select_related("version__model", "environment")
    found: Waiver | None = (rows.select_for_update(of=("self",)) if lock else rows).filter(reference=reference).first()
    if found is None:
        raise NotKnown(_("There is no waiver %(reference)s.") % {"reference": reference[:40]}, code="waiver.unknown")
    return found


def approve(reference: str, *, reason: str = "", reauthenticated_at: datetime | None, by: Actor) -> Waiver:
    """Let a proposed waiver excuse from its start on. ``reauthenticated_at`` is when ``by`` last proved who they are.

    Raises, each recorded as ``waiver.refused``: ``NotPermitted`` for a program, who proposed it, who requested the
    promotion of the version or worked on it, another role, and without a fresh proof of identity; ``Conflict`` when it
    was approved or revoked before or has ended meanwhile, ``Refused`` when its rule cannot be waived any more or the
    pack has another version by now.
    """
    found, said = find(reference), naming.optional_text(reason, field="reason", limit=MOST_TEXT)
    facts = {**found.about, **_facts(found)}
    with attempt(Event.WAIVER_REFUSED, found.subject, facts=facts, by=by):
        waiver = find(reference, lock=True)
        _may_approve(waiver, by)
        if not sessions.is_fresh(reauthenticated_at):
            raise NotPermitted(_("Enter your password again to approve."), code="waiver.not_reauthenticated")
        now = timezone.now()
        if waiver.state == WaiverState.PROPOSED:
            _must_not_be_over(waiver, now)
            _must_be_the_text(waiver, _must_be_waivable(waiver.pack, waiver.rule))
        WAIVERS.transition(
            waiver,
            WaiverState.ACTIVE,
            facts={**_facts(waiver), "requested_by": waiver.requested_by},
            reason=said,
            changes={"approved_by": by.id, "approved_at": now},
            by=by,
        )
    _decide_again(waiver, by)
    return waiver


def _must_be_the_text(waiver: Waiver, compiled: policies.CompiledPack) -> None:
    if compiled.version != waiver.pack_version:
        raise Refused(
            _("%(pack)s is in force in version %(now)d, and the waiver is for version %(then)d: propose it anew.")
            % {"pack": waiver.pack, "now": compiled.version, "then": waiver.pack_version},
            code="waiver.pack_changed",
        )


def _decide_again(waiver: Waiver, by: Actor) -> None:
    """The open promotions that it is about: their pages say at once what it changed."""
    rows = Promotion.objects.filter(
        version_id=waiver.version_id, environment_id=waiver.environment_id, state__in=OPEN_STATES
    )
    promotions.refresh_all(list(rows.order_by("pk").values_list("pk", flat=True)), by=by)


def approve_with_password(reference: str, *, reason: str = "", **person: Unpack[AtKeyboard]) -> Waiver:
    """``approve`` for a person at the keyboard."""
    return sessions.with_password(
        lambda proven_at: approve(reference, reason=reason, reauthenticated_at=proven_at, by=person["user"].actor),
        action=Action.WAIVER_APPROVE,
        unproven="waiver.not_reauthenticated",
        **person,
    )


def _may_approve(waiver: Waiver, by: Actor) -> None:
    if objection := objection_to(waiver, by):
        raise objection


def objection_to(waiver: Waiver, by: Actor) -> NotPermitted | None:
    """Why this person may not approve the waiver, whatever its state; None when they may. Two queries at most."""
    if by.kind != "user":
        return NotPermitted(_("Only a person can approve a waiver."), code="waiver.not_a_person")
    if second_person.is_first(waiver.requested_by, by):
        return NotPermitted(_("You proposed this waiver; someone else must approve it."), code="waiver.self_approval")
    if not access.held_by_roles(by.roles, Action.WAIVER_APPROVE):
        return NotPermitted(access.refusal_of(Action.WAIVER_APPROVE), code=f"access.{Action.WAIVER_APPROVE}")
    if Promotion.objects.filter(version_id=waiver.version_id, requested_by=by.id).exists():
        return NotPermitted(
            _("You requested the promotion of this version; someone else must approve the waiver."),
            code="waiver.requester",
        )
    case = Case(waiver.version, waiver.environment, Asked.PROMOTE, {}, requested_by=waiver.requested_by)
    if by.id in collecting.people_of(case, [], [by.id]).contributors:
        return NotPermitted(
            _("You worked on this version; someone independent must approve the waiver."), code="waiver.contributor"
        )
    return None


def waiting_for(rows: Sequence[Waiver], user: User) -> list[Waiver]:
    """Those of the proposed ``rows``, with their versions, that ``user`` may approve. One query, and one for each
    that a service account proposed.
    """
    if not rows or not user.has_perm(Action.WAIVER_APPROVE):
        return []
    me = user.actor.id
    asked = set(
        Promotion.objects.filter(version__in={row.version_id for row in rows}, requested_by=me).values_list(
            "version_id", flat=True
        )
    )
    return [
        row
        for row in rows
        if not second_person.is_first(row.requested_by, user.actor)
        and row.version_id not in asked
        and not {user.username, me} & {name.lower() for name in row.version.contributors}
    ]


def _must_not_be_over(waiver: Waiver, now: datetime) -> None:
    if waiver.ends_at <= now:
        raise Conflict(
            _("%(reference)s has ended already. Propose a new one.") % {"reference": waiver.reference},
            code="waiver.expired",
        )


def revoke(reference: str, *, reason: str, by: Actor) -> Waiver:
    """End a waiver, or withdraw one that is only proposed. One person is enough, also who proposed it: stopping must be
    easy. What serves under it is decided again at once.

    Raises ``BadInput`` without a reason, ``Conflict`` when it is revoked or over already.
    """
    waiver = _revoke(reference, naming.text(reason, field="reason", limit=MOST_TEXT), by)
    if waiver.approved_at:
        _decide_again(waiver, by)
    return waiver


@transaction.atomic
def _revoke(reference: str, said: str, by: Actor) -> Waiver:
    waiver = find(reference, lock=True)
    if waiver.state != WaiverState.REVOKED:
        _must_not_be_over(waiver, timezone.now())
    WAIVERS.transition(
        waiver,
        WaiverState.REVOKED,
        facts=_facts(waiver),
        reason=said,
        changes={"revoked_at": timezone.now(), "revoked_by": by.id, "revoked_reason": said},
        by=by,
    )
    transaction.on_commit(following.order)
    return waiver
