"""Let somebody sign in one's place for a time, and end that.

A delegation decides nothing: a sign-off rule must allow it, and the pure function asks again whether it ran at the
moment of the signature, whether the delegator still holds the role, and whether both are independent. It cannot be
passed on, because it speaks for people who hold the role themselves.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted
from governance import access, sessions
from governance.attempts import attempt
from governance.models.delegation import LONGEST, Delegation
from governance.models.roles import Action, Role
from governance.models.user import User
from registry import naming

MOST_TEXT = 4000
#: A start so long ago counts as now: the clock of who asks is another one.
JUST_NOW = timedelta(minutes=1)


def make(
    role: str,
    to: str,
    *,
    ends_at: datetime,
    starts_at: datetime | None = None,
    reason: str,
    reauthenticated_at: datetime | None,
    by: Actor,
) -> Delegation:
    """Let the person ``to`` (a username) sign in ``role`` in the place of ``by``. ``starts_at`` None is now.

    Raises ``BadInput`` for an unknown role or person, a window in the past or of more than ``LONGEST``; and, each
    recorded as ``delegation.refused``: ``NotPermitted`` for a program, a role that ``by`` does not hold, oneself, a
    person who may not sign at all, and without a fresh proof of identity.
    """
    said, now = naming.text(reason, field="reason", limit=MOST_TEXT), timezone.now().replace(microsecond=0)
    starts = _window(starts_at, ends_at, now)
    if role not in Role.values or not access.held_by_roles([role], Action.PROMOTION_SIGN):
        known = ", ".join(each.value for each in access.roles_for(Action.PROMOTION_SIGN))
        sentence = _("Name a role that signs: %(known)s.") % {"known": known}
        raise BadInput(sentence, code="delegation.role", fields={"role": sentence})
    account = _person(to)
    facts = {"role": role, "to": account.actor.id}
    with attempt(Event.DELEGATION_REFUSED, by.id, facts=facts, by=by):
        _must_be_allowed(role, account, by)
        if reauthenticated_at is None or not sessions.is_fresh(reauthenticated_at):
            raise NotPermitted(_("Enter your password again to delegate."), code="delegation.not_reauthenticated")
        number = Delegation.next_number()
        row = Delegation(
            pk=number,
            reference=f"DG-{now:%Y}-{number:04d}",
            role=role,
            delegator=by.id,
            delegate=account.actor.id,
            made_at=now,
            reauth_at=reauthenticated_at,
            starts_at=starts,
            ends_at=ends_at.replace(microsecond=0),
            reason=said,
        )
        row.save(force_insert=True)
        window = {"starts_at": row.starts_at.isoformat(), "ends_at": row.ends_at.isoformat()}
        log.append(Event.DELEGATION_MADE, row, facts={**facts, **window}, reason=said, by=by)
    return row


def make_with_password(
    role: str,
    to: str,
    *,
    ends_at: datetime,
    starts_at: datetime | None = None,
    reason: str,
    password: str,
    code: str = "",
    assertion: str = "",
    user: User,
    request: HttpRequest,
) -> Delegation:
    """``make`` for a person at the keyboard."""
    return sessions.with_password(
        lambda proven_at: make(
            role,
            to,
            ends_at=ends_at,
            starts_at=starts_at,
            reason=reason,
            reauthenticated_at=proven_at,
            by=user.actor,
        ),
        action=Action.PROMOTION_SIGN,
        unproven="delegation.not_reauthenticated",
        password=password,
        code=code,
        assertion=assertion,
        user=user,
        request=request,
    )


def end(reference: str, *, reason: str, by: Actor) -> Delegation:
    """End a delegation before its time; the delegator and the delegate may, with no password: stopping must be easy.

    What was signed under it before stays signed. Raises ``NotKnown``; ``BadInput`` without a reason; and, recorded as
    ``delegation.refused``, ``NotPermitted`` for anybody else and ``Conflict`` when it is over already.
    """
    said = naming.text(reason, field="reason", limit=MOST_TEXT)
    found = find(reference)
    with attempt(Event.DELEGATION_REFUSED, found.subject, facts={"ends": reference}, by=by):
        row = find(reference, lock=True)
        if by.id not in (row.delegator, row.delegate):
            raise NotPermitted(_("Only the two people of a delegation can end it."), code="delegation.not_yours")
        now = timezone.now()
        if row.standing(now) in ("revoked", "expired"):
            raise Conflict(_("%(reference)s is over already.") % {"reference": reference}, code="delegation.over")
        row.ended_at, row.ended_by, row.ended_reason = now, by.id, said
        row.save(update_fields=["ended_at", "ended_by", "ended_reason"])
        ended = {"before": {"ended_at": ""}, "after": {"ended_at": now.isoformat()}}
        log.append(Event.DELEGATION_ENDED, row, facts={"role": row.role, **ended}, reason=said, by=by)
    return row


def find(reference: str, *, lock: bool = False) -> Delegation:
    """The delegation with this reference. Raises ``NotKnown``."""
    rows = Delegation.objects.select_for_update() if lock else Delegation.objects.all()
    found: Delegation | None = rows.filter(reference=reference).first()
    if found is None:
        raise NotKnown(
            _("There is no delegation %(reference)s.") % {"reference": reference[:40]}, code="delegation.unknown"
        )
    return found


def usable(reference: str, *, by: Actor) -> Delegation:
    """The delegation, locked so that nobody ends it while it is signed under. Must run inside a transaction.

    Raises ``NotPermitted`` when it is not to ``by``, is over, or has not begun; whatever the clock did, one that was
    ended lets nobody sign again.
    """
    row = Delegation.objects.select_for_update().filter(reference=reference).first()
    if row is None or row.delegate != by.id:
        raise NotPermitted(_("Nobody delegated this to you."), code="signoff.delegation")
    if row.standing(timezone.now()) != "active":
        raise NotPermitted(
            _("%(reference)s does not run now, so nothing can be signed under it.") % {"reference": row.reference},
            code="signoff.delegation",
        )
    return row


def of(actor: Actor) -> QuerySet[Delegation]:
    """Those that the person made or was given, newest first."""
    return Delegation.objects.filter(Q(delegator=actor.id) | Q(delegate=actor.id)).order_by("-pk")


def running_to(actor_id: str) -> list[Delegation]:
    """Those under which the person could sign now, as far as the delegation goes."""
    return list(running(actor_id))


def running(actor_id: str) -> QuerySet[Delegation]:
    """The same, not yet asked for."""
    now = timezone.now()
    rows = Delegation.objects.filter(delegate=actor_id, ended_at__isnull=True, starts_at__lte=now, ends_at__gt=now)
    return rows.order_by("pk")


def _window(starts_at: datetime | None, ends_at: datetime, now: datetime) -> datetime:
    """The start, in whole seconds. Raises ``BadInput`` with the field that is wrong."""
    fields: dict[str, str] = {}
    zone = _("Give the moment with its time zone.")
    for name, at in (("starts_at", starts_at), ("ends_at", ends_at)):
        if at is not None and timezone.is_naive(at):
            fields[name] = zone
    if not fields:
        starts = now if starts_at is None or now - JUST_NOW <= starts_at <= now else starts_at.replace(microsecond=0)
        if starts < now:
            fields["starts_at"] = _("The start lies in the past: nobody signs afterwards.")
        elif ends_at.replace(microsecond=0) <= starts:
            fields["ends_at"] = _("The end lies before the start, or in the past.")
        elif ends_at.replace(microsecond=0) - starts > LONGEST or starts > now + LONGEST:
            fields["ends_at"] = _("A delegation lasts %(days)d days at most.") % {"days": LONGEST.days}
        else:
            return starts
    raise BadInput(_("The delegation cannot be made as sent."), code="delegation.window", fields=fields)


def _person(name: str) -> User:
    """The account by its username or its actor id."""
    rows = User.objects.filter(kind="person", is_active=True)
    wanted = name.strip()
    found: User | None = rows.filter(username=wanted.lower()).first()
    if found is None and wanted.startswith("user:"):
        try:
            found = rows.filter(uuid=uuid.UUID(wanted.removeprefix("user:"))).first()
        except ValueError:
            found = None
    if found is None:
        sentence = _("Nobody with an account is called %(name)s.") % {"name": wanted[:80] or "–"}
        raise BadInput(sentence, code="delegation.person", fields={"to": sentence})
    return found


def _must_be_allowed(role: str, account: User, by: Actor) -> None:
    if by.kind != "user":
        raise NotPermitted(_("Only a person can delegate."), code="delegation.not_a_person")
    if role not in by.roles:
        raise NotPermitted(
            _("You do not hold the role %(role)s yourself; what was delegated to you cannot be passed on.")
            % {"role": str(Role(role).label)},
            code="delegation.role_not_held",
        )
    if account.actor.id == by.id:
        raise NotPermitted(_("You cannot delegate to yourself."), code="delegation.self")
    if not access.held_by_roles(account.roles, Action.PROMOTION_SIGN):
        raise NotPermitted(
            _("%(name)s may not sign promotions at all: delegate to somebody who holds a role that signs.")
            % {"name": account.display_name},
            code="delegation.may_not_sign",
        )
