"""Did this person's own key sign exactly this? Pure: it needs ``cryptography`` and the standard library, no server.

A passkey signs ``authenticatorData || SHA-256(clientDataJSON)`` (WebAuthn Level 2, section 6.3.3), and the browser
writes the challenge and the address of the site into ``clientDataJSON``. The challenge of a personal signature is the
SHA-256 of the canonical document that it is about, so the key signs the document. Whoever has the public key, which the
log holds since its person registered it, can verify it; nobody without the authenticator can make one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

Flaw = Literal[
    "malformed", "type", "challenge", "origin", "rp_id", "presence", "user_verification", "key", "signature", "document"
]
#: Bits of the flags in authenticatorData (section 6.1): user present, user verified.
_PRESENT, _VERIFIED = 0x01, 0x04
#: rpIdHash (32), flags (1), signCount (4).
_LEAST = 37


class NotProved(Exception):  # noqa: N818  (it says what was found)
    """The key did not sign this; ``flaw`` says what differs."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an authenticator answered, as bytes."""

    authenticator_data: bytes
    client_data: bytes
    signature: bytes

    @property
    def counter(self) -> int:
        """The authenticator's signature counter; 0 where it keeps none."""
        return int.from_bytes(self.authenticator_data[33:37])


def canonical(document: Mapping[str, str | int]) -> bytes:
    """The document's bytes: JSON with sorted ASCII keys, no white space, UTF-8. For strings and whole numbers this is
    RFC 8785. Raises ``NotProved`` for anything else.
    """
    for key, value in document.items():
        if not key.isascii() or isinstance(value, bool) or not isinstance(value, str | int):
            raise NotProved("document")
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise NotProved("document") from error


def challenge_of(document: Mapping[str, str | int]) -> bytes:
    """SHA-256 of the canonical document: 32 bytes."""
    return hashlib.sha256(canonical(document)).digest()


def commitment(text: str, salt: bytes) -> str:
    """``sha256:`` of salt and text. Without the salt the text cannot be guessed from it."""
    return "sha256:" + hashlib.sha256(salt + text.encode()).hexdigest()


def verify(assertion: Assertion, *, challenge: bytes, origin: str, rp_id: str, public_key: bytes) -> None:
    """Raise ``NotProved`` unless ``public_key`` (DER, SubjectPublicKeyInfo) answered ``challenge`` for this site, with
    its holder present and verified. ``origin`` is ``https://host[:port]``, ``rp_id`` the host.

    The counter is not looked at: whether an answer was used before, only a server knows.
    """
    told = _client_data(assertion.client_data)
    if told.get("type") != "webauthn.get":
        raise NotProved("type")
    if told.get("challenge") != to_text(challenge):
        raise NotProved("challenge")
    if told.get("origin") != origin or told.get("crossOrigin") not in (None, False):
        raise NotProved("origin")
    data = assertion.authenticator_data
    if len(data) < _LEAST:
        raise NotProved("malformed")
    if data[:32] != hashlib.sha256(rp_id.encode()).digest():
        raise NotProved("rp_id")
    if not data[32] & _PRESENT:
        raise NotProved("presence")
    if not data[32] & _VERIFIED:
        raise NotProved("user_verification")
    _verify_signature(public_key, assertion.signature, data + hashlib.sha256(assertion.client_data).digest())


def verify_document(document: Mapping[str, str | int], assertion: Assertion, *, public_key: bytes) -> None:
    """Raise ``NotProved`` unless the key signed this document on the site that the document names."""
    origin, rp_id = document.get("origin"), document.get("rp_id")
    if not isinstance(origin, str) or not isinstance(rp_id, str):
        raise NotProved("document")
    verify(assertion, challenge=challenge_of(document), origin=origin, rp_id=rp_id, public_key=public_key)


def _client_data(data: bytes) -> dict[str, Any]:
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotProved("malformed") from error
    if not isinstance(told, dict):
        raise NotProved("malformed")
    return told


def _verify_signature(public_key: bytes, signature: bytes, signed: bytes) -> None:
    try:
        key = load_der_public_key(public_key)
    except ValueError as error:
        raise NotProved("key") from error
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            key.verify(signature, signed, ec.ECDSA(SHA256()))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        elif isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
            key.verify(signature, signed, padding.PKCS1v15(), SHA256())
        else:
            raise NotProved("key")
    except InvalidSignature as error:
        raise NotProved("signature") from error


def to_text(data: bytes) -> str:
    """Base64url without padding (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The bytes again. Raises ``NotProved`` for anything that is not base64url."""
    try:
        if set(text) & set("+/"):
            raise NotProved("malformed")
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise NotProved("malformed") from error
