"""Passkeys (W3C WebAuthn Level 2, library py_webauthn): what a browser is asked, and what its answer proves.

A challenge is random or the SHA-256 of a document, lives for minutes, belongs to one session and to the one address to
which the answer will be sent, and is used up by the first answer, right or wrong.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import webauthn
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from webauthn.helpers import decode_credential_public_key
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.decoded_public_key_to_cryptography import decoded_public_key_to_cryptography
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from audit.refusals import Conflict
from governance import assertions
from governance.assertions import Assertion, NotProved
from governance.models.factor import FactorChallenge, FactorKind, FactorUse, SecondFactor
from governance.models.user import User

logger = logging.getLogger(__name__)

#: How long an answer may take, and how many questions one person may leave open.
ANSWERED_WITHIN = timedelta(minutes=3)
MOST_OPEN = 20
#: Characters of an answer.
MOST_ANSWER = 16_384
_ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]


class PasskeyRefused(Exception):  # noqa: N818
    """The answer proves nothing; the message is for the person."""


@dataclass(frozen=True, slots=True)
class Asserted:
    """An answer that was accepted: which key gave it, to what. ``document`` is None for a random challenge."""

    factor: SecondFactor
    assertion: Assertion
    document: Mapping[str, str | int] | None
    salt: bytes


@dataclass(frozen=True, slots=True)
class Registered:
    """What a new authenticator said about its key."""

    credential_id: str
    cose_key: bytes
    counter: int


def rp_id() -> str:
    """The host of PUBLIC_URL: keys are registered for it and work nowhere else."""
    return urlsplit(str(settings.PUBLIC_URL)).hostname or ""


def origin() -> str:
    """Scheme, host and port of PUBLIC_URL, as browsers write them (RFC 6454, section 6.2)."""
    parts = urlsplit(str(settings.PUBLIC_URL))
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port not in (None, standard) else "")


def why_not() -> str:
    """Why nobody can use passkeys on this installation; empty when they can."""
    try:
        ipaddress.ip_address(rp_id())
    except ValueError:
        return ""
    sentence = _(
        "Passkeys need a name, and people reach this installation by an address (%(host)s). Whoever runs it can start "
        "it with a name in PUBLIC_URL, such as http://localhost:8000 on their own machine."
    )
    return sentence % {"host": rp_id()}


def ask_to_register(owner: User, *, session: str, path: str) -> dict[str, Any]:
    """What the browser gives to ``navigator.credentials.create`` as JSON. Raises ``Conflict`` (``passkey.unavailable``)
    where there can be no passkeys.
    """
    challenge = _ask(owner, session=session, path=path, challenge=os.urandom(32))
    options = webauthn.generate_registration_options(
        rp_id=rp_id(),
        rp_name="Countersign",
        user_name=owner.username,
        user_id=owner.uuid.bytes,
        challenge=challenge,
        timeout=_milliseconds(),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_descriptors(owner),
        supported_pub_key_algs=_ALGORITHMS,
    )
    return dict(json.loads(webauthn.options_to_json(options)))


def registered(owner: User, answer: str, *, session: str, path: str) -> Registered:
    """What ``navigator.credentials.create`` made. Raises ``PasskeyRefused``."""
    asked = _used_up(owner, answer, session=session, path=path)
    try:
        found = webauthn.verify_registration_response(
            credential=answer,
            expected_challenge=assertions.from_text(asked.challenge),
            expected_rp_id=rp_id(),
            expected_origin=origin(),
            require_user_verification=True,
            supported_pub_key_algs=_ALGORITHMS,
        )
        spki(found.credential_public_key)
    except Exception as error:  # the library's parsers raise what they like on bytes that somebody made up
        logger.warning("a passkey was not registered: %s", type(error).__name__)
        raise PasskeyRefused(_("The passkey could not be registered: the browser's answer does not fit.")) from error
    return Registered(assertions.to_text(found.credential_id), found.credential_public_key, counter=found.sign_count)


def ask(
    owner: User,
    *,
    session: str,
    path: str,
    document: Mapping[str, str | int] | None = None,
    salt: bytes = b"",
) -> dict[str, Any]:
    """What the browser gives to ``navigator.credentials.get`` as JSON; its answer will be sent to ``path``.

    Raises ``Conflict``: ``passkey.unavailable`` or ``passkey.none``.
    """
    known = _descriptors(owner)
    if not known:
        raise Conflict(_("You have no passkey; register one on the page of your account."), code="passkey.none")
    challenge = os.urandom(32) if document is None else assertions.challenge_of(document)
    options = webauthn.generate_authentication_options(
        rp_id=rp_id(),
        challenge=_ask(owner, session=session, path=path, challenge=challenge, document=document, salt=salt),
        timeout=_milliseconds(),
        allow_credentials=known,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return dict(json.loads(webauthn.options_to_json(options)))


def accept(owner: User, answer: str, *, session: str, path: str) -> Asserted:
    """What a passkey of ``owner`` answered. The question is used up, and the counter goes on. Raises
    ``PasskeyRefused``.

    Call it outside the transaction of the change that it is for.
    """
    asked = _used_up(owner, answer, session=session, path=path)
    factor, assertion = _given(owner, answer)
    seen = FactorUse.objects.filter(factor=factor).values_list("newest", flat=True).first() or 0
    try:
        found = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=assertions.from_text(asked.challenge),
            expected_rp_id=rp_id(),
            expected_origin=origin(),
            credential_public_key=bytes(factor.cose_key or b""),
            credential_current_sign_count=seen,
            require_user_verification=True,
        )
        # What is kept must convince somebody who has no more than the pure function.
        assertions.verify(
            assertion,
            challenge=assertions.from_text(asked.challenge),
            origin=origin(),
            rp_id=rp_id(),
            public_key=spki(bytes(factor.cose_key or b"")),
        )
    except Exception as error:  # the library's parsers raise what they like on bytes that somebody made up
        logger.warning("a passkey's answer was refused: %s", type(error).__name__)
        raise _refused() from error
    _count(factor, seen, found.new_sign_count)
    return Asserted(factor, assertion, asked.document, assertions.from_text(asked.salt))


def spki(cose_key: bytes) -> bytes:
    """The public key as SubjectPublicKeyInfo in DER (RFC 5280), which every library reads."""
    key = decoded_public_key_to_cryptography(decode_credential_public_key(cose_key))
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def fingerprint(public_key: bytes) -> str:
    """``sha256:`` of the key in DER."""
    return "sha256:" + hashlib.sha256(public_key).hexdigest()


def _refused() -> PasskeyRefused:
    return PasskeyRefused(_("The passkey's answer does not fit what was asked; nothing was signed. Try it again."))


def _milliseconds() -> int:
    return int(ANSWERED_WITHIN.total_seconds() * 1000)


def _descriptors(owner: User) -> list[PublicKeyCredentialDescriptor]:
    ids = SecondFactor.objects.of(owner).filter(kind=FactorKind.PASSKEY).values_list("credential_id", flat=True)
    return [PublicKeyCredentialDescriptor(id=assertions.from_text(each)) for each in ids]


def _session(key: str) -> str:
    return salted_hmac("countersign.challenge", key, algorithm="sha256").hexdigest()


def _ask(
    owner: User,
    *,
    session: str,
    path: str,
    challenge: bytes,
    document: Mapping[str, str | int] | None = None,
    salt: bytes = b"",
) -> bytes:
    """Remember the question; forgets the person's that are over, and the oldest of too many."""
    if sentence := why_not():
        raise Conflict(sentence, code="passkey.unavailable")
    if not session:
        raise Conflict(_("Sign in with a browser: a passkey answers in a session only."), code="passkey.session")
    with transaction.atomic():
        mine = FactorChallenge.objects.filter(owner=owner)
        mine.filter(expires_at__lte=timezone.now()).delete()
        newest = list(mine.order_by("-pk").values_list("pk", flat=True)[: MOST_OPEN - 1])
        mine.exclude(pk__in=newest).delete()
        FactorChallenge.objects.create(
            owner=owner,
            session=_session(session),
            path=path,
            challenge=assertions.to_text(challenge),
            document=None if document is None else dict(document),
            salt=assertions.to_text(salt),
            expires_at=timezone.now() + ANSWERED_WITHIN,
        )
    return challenge


def _used_up(owner: User, answer: str, *, session: str, path: str) -> FactorChallenge:
    """The question that ``answer`` names, taken away: of two answers at the same instant one finds nothing."""
    told = _challenge_in(answer)
    asked = FactorChallenge.objects.filter(owner=owner, session=_session(session), path=path, challenge=told).first()
    if asked is None or not FactorChallenge.objects.filter(pk=asked.pk).delete()[0]:
        raise PasskeyRefused(
            _("The passkey answered a question that was not asked here, or was answered already. Try it again.")
        )
    if asked.expires_at <= timezone.now():
        raise PasskeyRefused(_("The passkey's answer came too late. Try it again."))
    return asked


def _challenge_in(answer: str) -> str:
    try:
        if len(answer) > MOST_ANSWER:
            raise _refused()
        told = json.loads(assertions.from_text(json.loads(answer)["response"]["clientDataJSON"]))["challenge"]
    except (NotProved, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _refused() from error
    if not isinstance(told, str) or len(told) > 100 or "\x00" in told:
        raise _refused()
    return told


def _given(owner: User, answer: str) -> tuple[SecondFactor, Assertion]:
    """The person's own active key that the answer names, and the answer's bytes."""
    try:
        told = json.loads(answer)
        names, credential_id = told["response"], str(told["id"])
        assertion = Assertion(
            assertions.from_text(names["authenticatorData"]),
            assertions.from_text(names["clientDataJSON"]),
            assertions.from_text(names["signature"]),
        )
    except (NotProved, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused() from error
    known = SecondFactor.objects.of(owner).filter(kind=FactorKind.PASSKEY)
    factor = next((each for each in known if each.credential_id == credential_id), None)
    if factor is None:
        raise PasskeyRefused(_("This passkey is not registered for you; nothing was signed."))
    return factor, assertion


def _count(factor: SecondFactor, seen: int, counted: int) -> None:
    """Keep the authenticator's counter; refuse when another answer was accepted since it was read."""
    rows = FactorUse.objects.filter(factor=factor)
    if rows.filter(newest=seen).update(newest=counted, at=timezone.now()):
        return
    try:
        with transaction.atomic():
            if rows.exists():
                raise _refused()
            FactorUse.objects.create(factor=factor, newest=counted)
    except IntegrityError as error:
        raise _refused() from error
