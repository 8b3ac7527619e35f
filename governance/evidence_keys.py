"""Whose signatures on evidence are believed: propose, confirm and withdraw keys, and check an envelope against them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Unpack

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted
from governance import access, evidence_signatures, following, second_person, sessions
from governance.at_keyboard import AtKeyboard
from governance.attempts import attempt
from governance.evidence_signatures import NotSigned, Signed
from governance.models.evidence import EvidenceType
from governance.models.evidence_key import EvidenceKey, EvidenceKeyState
from governance.models.roles import Action
from registry import naming

KEYS = Lifecycle(
    field="state",
    transitions={
        (EvidenceKeyState.PROPOSED.value, EvidenceKeyState.ACTIVE.value): Event.EVIDENCE_KEY_CONFIRMED,
        (EvidenceKeyState.PROPOSED.value, EvidenceKeyState.WITHDRAWN.value): Event.EVIDENCE_KEY_WITHDRAWN,
        (EvidenceKeyState.ACTIVE.value, EvidenceKeyState.WITHDRAWN.value): Event.EVIDENCE_KEY_WITHDRAWN,
    },
)
MOST_TEXT = 4000
#: Why an envelope or a key is refused, in words.
SAYS: dict[str, Promise] = {
    "size": gettext_lazy("The signature file has more than 256 KiB."),
    "json": gettext_lazy("The signature file, or the statement in it, is not a JSON object in UTF-8."),
    "twice": gettext_lazy("A name stands twice in one object of the signature file: it could be read in two ways."),
    "nesting": gettext_lazy("The signature file is nested more than 32 levels deep."),
    "bundle": gettext_lazy("The bundle is not a Sigstore bundle v0.3 with a DSSE envelope."),
    "payload_type": gettext_lazy("The envelope’s payloadType is not application/vnd.in-toto+json."),
    "unsigned": gettext_lazy("The envelope carries no signature."),
    "several": gettext_lazy("The envelope carries several signatures; exactly one is read."),
    "base64": gettext_lazy("The payload or the signature of the envelope is not base64."),
    "signature": gettext_lazy("The signature does not hold for any key of evidence that this server knows."),
    "statement": gettext_lazy("The signed payload is not an in-toto statement v1 or v0.1 with a predicate type."),
    "subject": gettext_lazy("Every subject of the statement needs a sha256 digest, and there must be at least one."),
    "manifest": gettext_lazy("The list of files in the statement contradicts its subject, or cannot be read."),
    "not_comparable": gettext_lazy(
        "The statement lists its files by another method than SHA-256 of whole files, so they cannot be compared with "
        "the digest in the registry."
    ),
    "key": gettext_lazy("The key is not a sound public key in PEM."),
    "algorithm": gettext_lazy("Only Ed25519 and ECDSA on P-256 or P-384 are read; this key is of another kind."),
}


def propose(name: str, public_key: str, types: Sequence[str], *, by: Actor) -> EvidenceKey:
    """Ask that evidence of these types be believed when this key signed it; nothing is until a second person confirms.

    Raises ``BadInput`` for a name, key or type that cannot be, ``Conflict`` when the name or key is on record already,
    withdrawn ones too.
    """
    called = naming.name(name)
    named = sorted({naming.choice(each, EvidenceType.values, field="types") for each in types})
    if not named:
        sentence = _("Name at least one type of evidence that the key may sign.")
        raise BadInput(sentence, code="evidence_key.types", fields={"types": sentence})
    try:
        key = evidence_signatures.key_of(public_key)
    except NotSigned as error:
        sentence = str(SAYS[error.code])
        raise BadInput(sentence, code="evidence_key.key", fields={"public_key": sentence}) from None
    now, number = timezone.now(), EvidenceKey.next_number()
    row = EvidenceKey(
        pk=number,
        reference=f"EK-{now:%Y}-{number:04d}",
        name=called,
        public_key=evidence_signatures.pem_of(key),
        fingerprint=evidence_signatures.fingerprint(key),
        types=named,
        proposed_by=by.id,
        proposed_at=now,
    )
    with transaction.atomic():
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError:
            sentence = _("A key with this name, or this very key, is on record already.")
            raise Conflict(sentence, code="evidence_key.known") from None
        log.append(Event.EVIDENCE_KEY_PROPOSED, row, facts=_facts(row), by=by)
    return row


def confirm(reference: str, *, reauthenticated_at: datetime | None, by: Actor) -> EvidenceKey:
    """From now on the key's signatures count. ``reauthenticated_at`` is when ``by`` last proved who they are.

    Raises, each recorded as ``evidence_key.refused``: ``NotPermitted`` for a program, another role, who proposed it and
    without a fresh proof; ``Conflict`` when it is confirmed or withdrawn already. ``NotKnown``.
    """
    found = find(reference)
    with attempt(Event.EVIDENCE_KEY_REFUSED, found.subject, facts=_facts(found), by=by):
        row = find(reference, lock=True)
        _may_confirm(row, by)
        if not sessions.is_fresh(reauthenticated_at):
            raise NotPermitted(_("Enter your password again to confirm."), code="evidence_key.not_reauthenticated")
        KEYS.transition(
            row,
            EvidenceKeyState.ACTIVE,
            facts=_facts(row),
            changes={"confirmed_by": by.id, "confirmed_at": timezone.now()},
            by=by,
        )
    return row


def confirm_with_password(reference: str, **person: Unpack[AtKeyboard]) -> EvidenceKey:
    """``confirm`` for a person at the keyboard."""
    return sessions.with_password(
        lambda proven_at: confirm(reference, reauthenticated_at=proven_at, by=person["user"].actor),
        action=Action.POLICY_ACTIVATE,
        unproven="evidence_key.not_reauthenticated",
        **person,
    )


def objection_to(row: EvidenceKey, by: Actor) -> str:
    """Why this person may not confirm it, in a sentence; empty when they may."""
    try:
        _may_confirm(row, by)
    except NotPermitted as refusal:
        return refusal.sentence
    return ""


def _may_confirm(row: EvidenceKey, by: Actor) -> None:
    if by.kind != "user":
        raise NotPermitted(_("Only a person can confirm a key of evidence."), code="evidence_key.not_a_person")
    if not access.held_by_roles(by.roles, Action.POLICY_ACTIVATE):
        sentence = access.refusal_of(Action.POLICY_ACTIVATE, doing=_("Confirming a key of evidence"))
        raise NotPermitted(sentence, code="access.policy.activate")
    if second_person.is_first(row.proposed_by, by):
        sentence = _("Who proposed a key cannot confirm it: a second person compares its fingerprint.")
        raise NotPermitted(sentence, code="evidence_key.second_person")


@transaction.atomic
def withdraw(reference: str, *, reason: str, by: Actor) -> EvidenceKey:
    """Nothing that it signed counts as signed any more, for good; what serves is decided again. One person is enough.
    Raises ``BadInput`` without a reason, ``Conflict`` when it is withdrawn already, ``NotKnown``."""
    said = naming.text(reason, field="reason", limit=MOST_TEXT)
    row = find(reference, lock=True)
    KEYS.transition(
        row,
        EvidenceKeyState.WITHDRAWN,
        facts=_facts(row),
        reason=said,
        changes={"withdrawn_by": by.id, "withdrawn_at": timezone.now(), "withdrawn_reason": said},
        by=by,
    )
    transaction.on_commit(partial(following.order, following.EVERYTHING))
    return row


def find(reference: str, *, lock: bool = False) -> EvidenceKey:
    """The key with this reference. Raises ``NotKnown``."""
    rows = EvidenceKey.objects.select_for_update() if lock else EvidenceKey.objects.all()
    found: EvidenceKey | None = rows.filter(reference=reference).first()
    if found is None:
        sentence = _("There is no key of evidence %(reference)s.") % {"reference": reference[:40]}
        raise NotKnown(sentence, code="evidence_key.unknown")
    return found


def believed(envelope: bytes, type: str, artifact_digest: str) -> tuple[EvidenceKey, Signed]:
    """The key that signed the envelope, locked until the transaction ends, and what its statement says.

    Raises ``BadInput`` for an envelope that cannot be read or whose signature holds for no known key; ``Conflict`` when
    that key is not in force or may not sign this type, or when the statement is about other files.
    """
    try:
        opened = evidence_signatures.read(envelope)
        row = next((each for each in EvidenceKey.objects.order_by("id") if _signed_by(opened, each)), None)
        if row is None:
            raise NotSigned("signature")
        row = EvidenceKey.objects.select_for_update().get(pk=row.pk)
        _must_count(row, type)
        signed = evidence_signatures.statement(opened)
    except NotSigned as error:
        sentence = str(SAYS[error.code])
        code = f"evidence.envelope_{error.code}"
        raise BadInput(sentence, code=code, fields={"envelope": sentence}) from None
    if not signed.is_about(artifact_digest):
        sentence = _(
            "The signed statement is about other files than those of the version, %(digest)s: it shows nothing."
        )
        raise Conflict(sentence % {"digest": artifact_digest}, code="evidence.another_digest")
    return row, signed


def _signed_by(opened: evidence_signatures.Envelope, row: EvidenceKey) -> bool:
    return opened.holds(evidence_signatures.key_of(row.public_key))


def _must_count(row: EvidenceKey, type: str) -> None:
    told = {"key": row.name, "type": type}
    if row.state == EvidenceKeyState.PROPOSED:
        raise Conflict(
            _("The key %(key)s waits for a second person to confirm it.") % told, code="evidence_key.proposed"
        )
    if row.state != EvidenceKeyState.ACTIVE:
        raise Conflict(_("The key %(key)s was withdrawn.") % told, code="evidence_key.withdrawn")
    if type not in row.types:
        raise Conflict(
            _("The key %(key)s may not sign evidence of the type %(type)s.") % told, code="evidence_key.type"
        )


def _facts(row: EvidenceKey) -> dict[str, object]:
    return {"name": row.name, "fingerprint": row.fingerprint, "types": row.types}
