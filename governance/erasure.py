"""Erasing a person: their account, their name wherever we keep it in clear, and their private values in the log.

The decision is one transaction with its entry ``user.erased``; after its COMMIT the log's values and the person's key
go (``audit.erasure``). What is interrupted in between is finished by the clock: the account says until then that the
erasure is under way. Past signatures stay, attributed to the pseudonym ``user:<uuid>``.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import erasure as log_erasure
from audit import payloads
from audit.actors import Actor
from audit.log import append
from audit.models.events import Event
from audit.queries import fetch
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refusal
from governance import access, factors, sessions
from governance.attempts import attempt
from governance.models.delegation import Delegation
from governance.models.emergency import Emergency, EmergencyState
from governance.models.evidence import Evidence
from governance.models.evidence_key import EvidenceKey
from governance.models.policy import PackState, PolicyPack
from governance.models.promotion import OPEN_STATES, Promotion
from governance.models.roles import Action, Role
from governance.models.signoff import Retraction, SignOff
from governance.models.token import ApiToken
from governance.models.transfer import SafeguardStatus, TransferSafeguard
from governance.models.user import User
from governance.models.waiver import Waiver, WaiverState
from registry import erasure as registry_erasure
from registry.erasure import ERASED
from registry.models import Incident, IncidentState

CLOCK = Actor.system("erasure")
log = logging.getLogger(__name__)


def erase_with_password(
    uuid: UUID,
    *,
    reason: str,
    no_legal_hold: bool,
    password: str,
    code: str = "",
    assertion: str = "",
    user: User,
    request: HttpRequest | None = None,
) -> User:
    """``erase`` for a person at the keyboard, who proves again who they are. Raises what ``erase`` raises."""
    access.require(user, Action.ACCOUNT_ERASE)
    proven = sessions.reauthenticate(user, password, code=code, assertion=assertion, request=request)
    return erase(uuid, reason=reason, no_legal_hold=no_legal_hold, reauthenticated_at=proven, by=user.actor)


def erase(uuid: UUID, *, reason: str, no_legal_hold: bool, reauthenticated_at: datetime, by: Actor) -> User:
    """Take everything that names the person out of the account and the log, for good.

    Raises BadInput (no reason, legal hold not ruled out, a service account), NotKnown, NotPermitted (no right, own
    account, proof of identity too old), Conflict (last administrator; something that they began is still open).
    A second call for an erased account erases what the log has gathered about them since.
    """
    user = User.objects.filter(uuid=uuid).first()
    if user is None:
        raise NotKnown(_("There is no account %s.") % uuid, code="account.unknown")
    _must_be_whole(user, reason, no_legal_hold)
    with attempt(Event.USER_ERASURE_REFUSED, user.subject, by=by):
        _may_erase(user, reauthenticated_at, by)
        account: User = User.objects.select_for_update().get(pk=user.pk)
        _keep_an_administrator(account)
        _nothing_open(account)
        names = {account.username, account.display_name}
        also = registry_erasure.recorded_names(names) if account.erased_at is None else []
        facts = _forget(account, names, by) if account.erased_at is None else {}
        receipt = append(
            Event.USER_ERASED,
            account,
            facts={**facts, "no_legal_hold": True, "again": not facts},
            private={"also": json.dumps([[str(event_id), field] for event_id, field in also])},
            reason=reason.strip(),
            by=by,
        )
        transaction.on_commit(lambda: _carry_out(account, also, str(receipt.event_id), by))
    return account


def finish() -> int:
    """Carry out the decisions whose second half was interrupted, and destroy keys that an old copy brought back.

    Returns how many persons are left. Raises nothing that the next round could mend.
    """
    erased = {user.subject: user for user in User.objects.filter(erased_at__isnull=False)}
    left = log_erasure.unfinished(sorted(erased))
    done = sum(_carry_out(erased[subject], *_ordered(subject), CLOCK) for subject in left)
    try:
        log_erasure.finish()
    except Refusal as refusal:
        log.warning("erased keys are not destroyed yet: %s", refusal.sentence)
    return len(left) - done


def _carry_out(account: User, also: list[tuple[UUID, str]], order: str, by: Actor) -> bool:
    try:
        log_erasure.erase(account.subject, also=also, order=order, by=by)
    except Refusal as refusal:
        log.warning("the erasure of %s is not finished: %s", account.subject, refusal.sentence)
        return False
    return True


def _ordered(subject: str) -> tuple[list[tuple[UUID, str]], str]:
    """What the newest decision about ``subject`` named in addition, and its event id."""
    rows = fetch(
        f"SELECT {payloads.COLUMNS} FROM audit.payload p WHERE p.subject = %s AND p.field = 'also'"  # noqa: S608
        " ORDER BY p.event_id DESC LIMIT 1",
        [subject],
    )
    for row in rows:
        sealed = payloads.Sealed(*row)
        (told,) = payloads.reveal([sealed])
        pairs = json.loads(told.data) if told.data is not None else []
        return [(UUID(event_id), field) for event_id, field in pairs], str(sealed.event_id)
    return [], ""


def _must_be_whole(user: User, reason: str, no_legal_hold: bool) -> None:
    fields = {}
    if not reason.strip():
        fields["reason"] = _("Say why, without the person's name: for example the number of their request.")
    if any(name.casefold() in reason.casefold() for name in (user.username, user.display_name)):
        fields["reason"] = _("The reason stays in the log: write it without the person's name.")
    if not no_legal_hold:
        fields["no_legal_hold"] = _("Confirm that no law and no dispute requires these data to be kept.")
    if fields:
        raise BadInput(" ".join(fields.values()), code="erasure.incomplete", fields=fields)
    if user.is_service:
        raise BadInput(
            _("A service account is not a person: deactivate it, and revoke its tokens."), code="erasure.service"
        )


def _may_erase(user: User, reauthenticated_at: datetime, by: Actor) -> None:
    if not access.held_by_roles(by.roles, Action.ACCOUNT_ERASE):
        raise NotPermitted(access.refusal_of(Action.ACCOUNT_ERASE), code=f"access.{Action.ACCOUNT_ERASE}")
    if by.id == user.actor.id:
        raise NotPermitted(
            _("Nobody erases their own account; ask another administrator or data-protection officer."),
            code="erasure.own",
        )
    age = timezone.now() - reauthenticated_at
    if not -sessions.REAUTHENTICATION_COUNTS_FOR < age < sessions.REAUTHENTICATION_COUNTS_FOR:
        raise NotPermitted(_("Give your password again: an erasure cannot be undone."), code="erasure.reauthentication")


def _keep_an_administrator(account: User) -> None:
    administrators = User.objects.holding(Role.ADMINISTRATOR).order_by("pk").select_for_update()
    if [administrator.pk for administrator in administrators] == [account.pk]:
        raise Conflict(
            _("This is the last administrator; give somebody else the role first."), code="account.last_administrator"
        )


def _nothing_open(account: User) -> None:
    """Who began something and came back under another name could approve it: end it first, then erase."""
    me, known = account.actor.id, {account.username.casefold(), account.actor.id}
    open_ones = Promotion.objects.filter(state__in=[state.value for state in OPEN_STATES]).select_related("version")
    mine = Q(requested_by=me) | Q(signoffs__signer=me)
    numbers = set(open_ones.filter(mine).values_list("pk", flat=True))
    numbers |= {row.pk for row in open_ones if known & {name.casefold() for name in row.version.contributors}}
    waiting = [f"promotion:{number}" for number in sorted(numbers)]
    proposed = TransferSafeguard.objects.filter(recorded_by=me, status=SafeguardStatus.PROPOSED)
    waiting += [row.subject for row in proposed]
    waiting += [row.subject for row in Waiver.objects.filter(requested_by=me, state=WaiverState.PROPOSED)]
    mine = Q(declared_by=me) | Q(confirmed_by=me)
    open_emergencies = (EmergencyState.DECLARED, EmergencyState.CONFIRMED)
    waiting += [row.subject for row in Emergency.objects.filter(mine, state__in=open_emergencies)]
    waiting += [row.subject for row in Incident.objects.filter(frozen_by=me, state=IncidentState.FROZEN)]
    waiting += [
        row.subject
        for row in PolicyPack.objects.filter(drafted_by=me, state__in=(PackState.DRAFT, PackState.SCHEDULED))
    ]
    if waiting:
        raise Conflict(
            _(
                "They requested, signed, trained or drafted what is still open: %(what)s. Let it be decided or "
                "withdrawn first: under a new account they could approve it themselves."
            )
            % {"what": ", ".join(waiting)},
            code="erasure.open",
        )


def _forget(account: User, names: set[str], by: Actor) -> dict[str, Any]:
    """Everything outside the log; what was removed, as counts."""
    me = account.actor.id
    facts: dict[str, Any] = {"tokens": _end_tokens(account, by), "sessions": _end_sessions(account)}
    facts["factors"] = factors.forget_person(account, by=by)
    facts["answers"] = account.kept_answers.all().delete()[0]
    facts["promotions"] = _erase_texts(Promotion.objects.filter(requested_by=me), "reason", me, by)
    facts["signoffs"] = _erase_texts(SignOff.objects.filter(signer=me), "comment", me, by)
    facts["signoffs"] += _erase_texts(Retraction.objects.filter(retracted_by=me), "reason", me, by)
    facts["delegations"] = _erase_texts(Delegation.objects.filter(delegator=me), "reason", me, by)
    facts["delegations"] += _erase_texts(Delegation.objects.filter(ended_by=me), "ended_reason", me, by)
    facts["waivers"] = sum(
        _erase_texts(rows, field, me, by)
        for rows, field in (
            (Waiver.objects.filter(requested_by=me), "reason"),
            (Waiver.objects.filter(requested_by=me), "control"),
            (Waiver.objects.filter(revoked_by=me), "revoked_reason"),
        )
    )
    facts["emergencies"] = _erase_texts(Emergency.objects.filter(declared_by=me), "reason", me, by)
    facts["emergencies"] += _erase_texts(Emergency.objects.filter(reviewed_by=me), "review_reason", me, by)
    facts["evidence"] = sum(
        _erase_texts(Evidence.objects.filter(pk__in=_naming(field, names)), field, me, by)
        for field in ("author", "title")
    )
    facts["evidence"] += _erase_texts(Evidence.objects.filter(withdrawn_by=me), "withdrawn_reason", me, by)
    facts["evidence"] += _erase_texts(EvidenceKey.objects.filter(withdrawn_by=me), "withdrawn_reason", me, by)
    facts |= registry_erasure.forget_person(names, pseudonym=me, by=by)
    account.username = f"erased-{account.uuid.hex}"
    account.display_name = me
    account.set_unusable_password()
    account.is_active, account.roles, account.erased_at = False, [], timezone.now()
    account.save(update_fields=["username", "display_name", "password", "is_active", "roles", "erased_at"])
    return facts


def _naming(field: str, names: set[str]) -> list[int]:
    """Evidence in whose ``field`` one of ``names`` stands, alone or among other words."""
    known = {name.casefold() for name in names}
    rows = Evidence.objects.values_list("pk", field).iterator(chunk_size=2_000)
    return [number for number, text in rows if registry_erasure.mentions(text, known)]


def _end_tokens(account: User, by: Actor) -> int:
    tokens = list(ApiToken.objects.of(account).select_for_update(of=("self",)))
    for token in tokens:
        token.label = ERASED
        token.revoked_at = token.revoked_at or timezone.now()
        token.save(update_fields=["label", "revoked_at"])
        append(Event.TOKEN_REVOKED, token, facts={"prefix": token.prefix, "erased": True}, by=by)
    return len(tokens)


def _end_sessions(account: User) -> int:
    """A session row says whose it is inside its sealed content only, so each living one is opened."""
    mine = [
        session.pk
        for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator()
        if session.get_decoded().get("_auth_user_id") == str(account.pk)
    ]
    Session.objects.filter(pk__in=mine).delete()
    return len(mine)


def _erase_texts(rows: Any, field: str, person: str, by: Actor) -> int:
    written = list(rows.exclude(**{f"{field}__in": ["", ERASED]}).select_for_update())
    for row in written:
        type(row).objects.filter(pk=row.pk).update(**{field: ERASED})
        append(Event.TEXT_ERASED, row, facts={"field": field, "person": person}, by=by)
    return len(written)
