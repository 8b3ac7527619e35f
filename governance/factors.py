"""Second factors: enrol, remove, and what an administrator may do when one is lost. Every change is an entry."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted
from governance import access, passkeys, totp
from governance.attempts import attempt
from governance.models.factor import FactorChallenge, FactorKind, FactorUse, PersonalSignature, SecondFactor
from governance.models.roles import Action
from governance.models.user import User
from registry.erasure import ERASED

MOST_LABEL = 100
#: Factors of one person that count at the same time.
MOST = 10


@dataclass(frozen=True, slots=True)
class Held:
    """What a person can prove besides the password."""

    app: SecondFactor | None
    passkeys: tuple[SecondFactor, ...]

    def __bool__(self) -> bool:
        return self.app is not None or bool(self.passkeys)


def held(owner: User) -> Held:
    """One query."""
    rows = list(SecondFactor.objects.of(owner).select_related("owner"))
    app = next((row for row in rows if not row.is_passkey), None)
    return Held(app, tuple(row for row in rows if row.is_passkey))


def enrol_app(owner: User, secret: str, code: str, *, by: Actor) -> SecondFactor:
    """Confirm an authenticator app by its first code, which is used up by that. ``by`` has just proved who they are.

    Raises ``BadInput`` (wrong code), ``Conflict`` (there is one already), ``NotPermitted`` (somebody else's).
    """
    _must_be_own(owner, by)
    step = totp.step_of(secret, code)
    if step is None:
        sentence = _(
            "The code does not fit. Look whether the clock of your telephone is right, and enter the next one."
        )
        raise BadInput(sentence, code="factor.code", fields={"code": sentence})
    with transaction.atomic():
        _may_have_another(owner)
        row = SecondFactor(
            owner=owner, kind=FactorKind.TOTP, label=_("Authenticator app"), sealed=totp.seal(secret, owner)
        )
        _record(row, step, _("You have an authenticator app already; remove it first."), by)
    return row


def register_passkey(owner: User, answer: str, *, label: str, session: str, path: str, by: Actor) -> SecondFactor:
    """Register the passkey that the browser made. Its public key goes into the log: from then on anybody can verify
    what it signs.

    Raises ``BadInput`` (no label, an answer that does not fit), ``Conflict`` (registered already), ``NotPermitted``.
    """
    _must_be_own(owner, by)
    name = label.strip()
    if not 1 <= len(name) <= MOST_LABEL or "\x00" in name:
        sentence = _("Give the passkey a name of at most 100 characters, such as «Laptop».")
        raise BadInput(sentence, code="factor.label", fields={"label": sentence})
    try:
        made = passkeys.registered(owner, answer, session=session, path=path)
    except passkeys.PasskeyRefused as refused:
        raise BadInput(str(refused), code="factor.answer") from refused
    with transaction.atomic():
        _may_have_another(owner)
        row = SecondFactor(
            owner=owner,
            kind=FactorKind.PASSKEY,
            label=name,
            credential_id=made.credential_id,
            cose_key=made.cose_key,
        )
        _record(row, made.counter, _("This passkey is registered already."), by)
    return row


def _record(row: SecondFactor, newest: int, taken: str, by: Actor) -> None:
    """Store a factor with its entry. Raises ``Conflict`` with the sentence ``taken`` when there is such a one."""
    row.pk = SecondFactor.next_number()
    facts = {"owner": row.owner.subject, "kind": str(row.kind)}
    if row.is_passkey:
        facts |= _key(row)
    try:
        with transaction.atomic():
            row.entry = log.append(Event.FACTOR_ENROLLED, row, facts=facts, by=by).event_id
            row.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict(taken, code="factor.enrolled") from error
    FactorUse.objects.create(factor=row, newest=newest)


def _key(row: SecondFactor) -> dict[str, str]:
    """What the log says of a passkey: base64 of the DER, as in a PEM file, and its digest."""
    key = passkeys.spki(bytes(row.cose_key or b""))
    return {"public_key": base64.b64encode(key).decode(), "fingerprint": passkeys.fingerprint(key)}


def _may_have_another(owner: User) -> None:
    """Locks the account, so that what is counted stays true. Raises ``Conflict``."""
    account = User.objects.select_for_update().get(pk=owner.pk)
    if not account.is_active:
        raise Conflict(_("This account is not active."), code="account.inactive")
    if SecondFactor.objects.of(owner).count() >= MOST:
        raise Conflict(_("You have ten factors already; remove one first."), code="factor.too_many")


def _must_be_own(owner: User, by: Actor) -> None:
    if by.id != owner.actor.id or by.kind != "user":
        raise NotPermitted(_("Only a person enrols their own factors."), code="factor.not_own")


def remove(uuid: UUID, *, by: Actor) -> SecondFactor:
    """Remove one's own factor; ``by`` has just proved who they are, with a factor. Raises ``NotKnown``."""
    with transaction.atomic():
        row = SecondFactor.objects.select_for_update().filter(uuid=uuid, removed_at__isnull=True).first()
        if row is None or row.owner.actor.id != by.id:
            raise NotKnown(_("You have no such factor."), code="factor.unknown")
        _forget(row, facts={"recovery": False}, by=by)
    return row


def recover(uuid: UUID, *, reason: str, by: Actor) -> SecondFactor:
    """Remove a lost factor of somebody else, as an administrator. What needs two factors then waits until the person
    enrols one again.

    Raises ``BadInput`` without a reason, ``NotKnown``; and, recorded as ``factor.refused``, ``NotPermitted``.
    """
    said = reason.strip()
    if not said:
        sentence = _("Say how you made sure who asked for it.")
        raise BadInput(sentence, code="factor.reason", fields={"reason": sentence})
    found = SecondFactor.objects.filter(uuid=uuid, removed_at__isnull=True).select_related("owner").first()
    if found is None:
        raise NotKnown(_("There is no such factor."), code="factor.unknown")
    with attempt(Event.FACTOR_REFUSED, found.subject, facts={"owner": found.owner.subject}, by=by):
        if not access.held_by_roles(by.roles, Action.USER_MANAGE):
            raise NotPermitted(access.refusal_of(Action.USER_MANAGE), code=f"access.{Action.USER_MANAGE}")
        if found.owner.actor.id == by.id:
            raise NotPermitted(
                _("Your own factor needs its code; when it is lost, ask another administrator."), code="factor.own"
            )
        row = SecondFactor.objects.select_for_update().get(pk=found.pk)
        if row.removed_at is not None:
            raise Conflict(_("This factor was removed already."), code="factor.removed")
        _forget(row, facts={"recovery": True}, reason=said, by=by)
    return row


def _forget(row: SecondFactor, *, facts: dict[str, bool], reason: str = "", by: Actor) -> None:
    row.sealed, row.credential_id = None, ""
    row.removed_at, row.removed_by = timezone.now(), by.id
    row.save(update_fields=["sealed", "credential_id", "removed_at", "removed_by"])
    told = {"owner": row.owner.subject, "kind": row.kind, **facts}
    log.append(Event.FACTOR_REMOVED, row, facts=told, reason=reason, by=by)


def forget_person(owner: User, *, by: Actor) -> int:
    """For the erasure of a person: secrets, credential ids and names of devices go, and the salts of comments.

    Public keys and signatures stay, like the sign-offs that they prove: they say no more than the pseudonym does.
    Returns how many factors there were.
    """
    FactorChallenge.objects.filter(owner=owner).delete()
    rows = list(SecondFactor.objects.select_for_update().filter(owner=owner))
    for row in rows:
        row.label = ERASED
        row.removed_at, row.removed_by = row.removed_at or timezone.now(), row.removed_by or by.id
        row.sealed, row.credential_id = None, ""
        row.save(update_fields=["label", "sealed", "credential_id", "removed_at", "removed_by"])
        facts = {"owner": owner.subject, "kind": row.kind, "erased": True}
        log.append(Event.FACTOR_REMOVED, row, facts=facts, by=by)
    FactorUse.objects.filter(factor__owner=owner).delete()
    signed = PersonalSignature.objects.select_related("signoff__promotion__version__model")
    for signature in signed.select_related("signoff__promotion__environment").filter(signoff__signer=owner.actor.id):
        PersonalSignature.objects.filter(pk=signature.pk).update(credential_id="", comment_salt="")
        told = {"field": "comment_salt", "person": owner.actor.id}
        log.append(Event.TEXT_ERASED, signature, facts=told, by=by)
    return len(rows)
