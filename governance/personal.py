"""Personal signatures: a sign-off that the signer's own key signed, so that nobody else can have made it.

The document that the key signs says everything that the sign-off says. The comment is in it as a salted commitment, so
that it can be erased with its person while the signature goes on verifying.
"""

from __future__ import annotations

import base64
import json
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log, queries
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import Conflict
from governance import assertions, passkeys
from governance.assertions import Assertion, NotProved
from governance.models.factor import PersonalSignature
from governance.models.signoff import SignOff
from governance.passkeys import Asserted
from governance.policies.vocabulary import format_time
from registry.erasure import ERASED

#: Version and kind of the document.
KIND = "countersign.signoff/1"


@dataclass(frozen=True, slots=True)
class Personal:
    """What became of verifying a personal signature now. ``why`` is empty when it is verified, else a word."""

    row: PersonalSignature
    public_key: bytes
    why: str = ""

    @property
    def verified(self) -> bool:
        return not self.why

    @property
    def fingerprint(self) -> str:
        return passkeys.fingerprint(self.public_key)

    @property
    def registered_at(self) -> datetime:
        """When the person registered the key."""
        return self.row.factor.created_at


def document(
    signoff: SignOff, *, delegation: str, salt: bytes, time: str, nonce: str, origin: str, rp_id: str
) -> dict[str, str | int]:
    """What the key signs for this sign-off, which need not be stored yet. ``delegation`` is the reference of the one
    under which it is given, or empty; ``time`` is when it was asked for.
    """
    return {
        "kind": KIND,
        "promotion": signoff.promotion_id,
        "round": signoff.round,
        "subject_digest": signoff.subject_digest,
        "statement": unicodedata.normalize("NFC", signoff.statement),
        "meaning": signoff.meaning,
        "role": signoff.role,
        "delegation": delegation,
        "comment": assertions.commitment(signoff.comment, salt),
        "signer": signoff.signer,
        "time": time,
        "nonce": nonce,
        "origin": origin,
        "rp_id": rp_id,
    }


def lent(signoff: SignOff) -> str:
    """The reference of the delegation under which it was given; empty when its signer signed for themselves."""
    return signoff.delegation.reference if signoff.delegation else ""


def fresh_document(signoff: SignOff, *, delegation: str = "") -> tuple[dict[str, str | int], bytes]:
    """The document of a sign-off that is about to be given, with a new nonce, and the new salt of its comment."""
    salt = os.urandom(32)
    made = document(
        signoff,
        delegation=delegation,
        salt=salt,
        time=format_time(timezone.now()),
        nonce=assertions.to_text(os.urandom(32)),
        origin=passkeys.origin(),
        rp_id=passkeys.rp_id(),
    )
    return made, salt


def keep(signoff: SignOff, asserted: Asserted, *, by: Actor) -> PersonalSignature:
    """Store with the sign-off, in its transaction, what the signer's key signed. Raises ``Conflict`` when that is
    anything else than this sign-off.
    """
    told, made = asserted.document, asserted.assertion
    if told is None or differences(told, signoff, asserted.salt):
        raise _another()
    public_key = passkeys.spki(bytes(asserted.factor.cose_key or b""))
    try:
        assertions.verify_document(told, made, public_key=public_key)
    except NotProved as error:
        raise _another() from error
    row = PersonalSignature.objects.create(
        signoff=signoff,
        factor=asserted.factor,
        document=dict(told),
        authenticator_data=assertions.to_text(made.authenticator_data),
        client_data=assertions.to_text(made.client_data),
        signature=assertions.to_text(made.signature),
        credential_id=asserted.factor.credential_id,
        comment_salt=assertions.to_text(asserted.salt),
    )
    facts = {
        "document": row.document,
        "authenticator_data": row.authenticator_data,
        "client_data": row.client_data,
        "signature": row.signature,
        "factor": asserted.factor.subject,
        "fingerprint": passkeys.fingerprint(public_key),
    }
    log.append(Event.SIGNOFF_KEYED, row, facts=facts, by=by)
    return row


def _another() -> Conflict:
    return Conflict(
        _("Your passkey signed something else than what was sent; nothing was signed. Load the page and sign again."),
        code="signoff.key_signed_another",
    )


def differences(told: Mapping[str, str | int], signoff: SignOff, salt: bytes) -> list[str]:
    """Names of the fields in which the signed document says something else than the sign-off. An erased comment has
    no salt any more and is not compared.
    """
    free = {name: str(told.get(name, "")) for name in ("time", "nonce", "origin", "rp_id")}
    wanted = document(signoff, delegation=lent(signoff), salt=salt, **free)
    if not salt and signoff.comment == ERASED:
        wanted["comment"] = told.get("comment", "")
    return sorted(name for name in wanted.keys() | told.keys() if wanted.get(name) != told.get(name))


def verified(signoffs: Iterable[SignOff]) -> dict[int, Personal]:
    """The personal signatures among these, by the sign-off's number, each verified now against the key that the log
    recorded when its person registered it. One query, none without such signatures.
    """
    rows = [(signoff, row) for signoff in signoffs if (row := getattr(signoff, "personal", None)) is not None]
    recorded = _recorded([row.factor.entry for _signoff, row in rows]) if rows else {}
    return {signoff.pk: _verified(signoff, row, recorded.get(row.factor.entry)) for signoff, row in rows}


def _recorded(entries: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """Those entries, in whichever log they are."""
    found = queries.fetch(
        "SELECT event_id, entry FROM audit.entry"
        " WHERE log_id IN (SELECT log_id FROM audit.log UNION SELECT 1) AND event_id = ANY(%s)",
        [list(entries)],
    )
    return {event_id: json.loads(bytes(data)) for event_id, data in found}


def _is_registration(entry: Mapping[str, Any], row: PersonalSignature, signer: str, public_key: bytes) -> bool:
    """Whether the signer themselves recorded this key."""
    told = (entry["event"], entry["object"], entry["actor"]["id"], entry["facts"].get("public_key"))
    return told == (Event.FACTOR_ENROLLED, row.factor.object_key, signer, base64.b64encode(public_key).decode())


def _verified(signoff: SignOff, row: PersonalSignature, entry: Mapping[str, Any] | None) -> Personal:
    public_key = passkeys.spki(bytes(row.factor.cose_key or b""))
    if entry is None or not _is_registration(entry, row, signoff.signer, public_key):
        return Personal(row, public_key, "key_not_recorded")
    try:
        assertion = Assertion(*map(assertions.from_text, (row.authenticator_data, row.client_data, row.signature)))
        if differences(row.document, signoff, assertions.from_text(row.comment_salt)):
            return Personal(row, public_key, "document")
        assertions.verify_document(row.document, assertion, public_key=public_key)
    except NotProved as found:
        return Personal(row, public_key, found.flaw)
    return Personal(row, public_key)


def said(found: Personal | None, factors: int) -> str:
    """How the signer proved who they are, in one sentence."""
    if found is not None and found.verified:
        return _("Signed with a personal key: verified.")
    if found is not None:
        return _("Signed with a personal key, but it does NOT verify (%(why)s).") % {"why": found.why}
    return _("Signed with two factors.") if factors == 2 else ""
