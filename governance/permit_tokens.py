"""The text of a permit: what it permits, signed, so that it can be verified without asking anybody. Pure.

``cspermit_<payload>.<signature>``, both base64url without padding. The payload is canonical JSON (RFC 8785) with the
fields of ``FIELDS`` and no other; the signature is Ed25519 over its DSSE pre-authentication encoding under ``KIND``.
There is no field that names an algorithm: there is one.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from governance.signing import SigningKey, from_unpadded, holds, unpadded

PREFIX = "cspermit_"
KIND = "application/vnd.countersign.permit+json"
MAX_CHARACTERS = 2_000
FIELDS = frozenset(
    {
        "action",
        "decision",
        "digest",
        "environment",
        "expires_at",
        "issued_at",
        "kid",
        "nonce",
        "subject_digest",
        "version",
    }
)
_NONCE_BYTES = 16


class NotAPermit(ValueError):  # noqa: N818
    """The text does not have the form of a permit."""


@dataclass(frozen=True)
class Token:
    """A permit as it was written. Nothing in it is to be believed before ``signed_by``."""

    payload: bytes
    signature: bytes
    told: Mapping[str, str]

    def signed_by(self, public_key: str) -> bool:
        """Whether the key's signature holds."""
        return holds(public_key, KIND, self.payload, self.signature)


def write(told: Mapping[str, str], key: SigningKey) -> str:
    """The permit for what is told, with a fresh nonce of 128 bits."""
    whole = {**told, "nonce": unpadded(secrets.token_bytes(_NONCE_BYTES)), "kid": key.kid}
    payload = rfc8785.dumps(whole)
    return f"{PREFIX}{unpadded(payload)}.{unpadded(key.sign(KIND, payload))}"


def read(text: str) -> Token:
    """The permit in a text. Raises ``NotAPermit`` for any other form than the one in which it is written here."""
    if not text.startswith(PREFIX) or len(text) > MAX_CHARACTERS or not text.isascii():
        raise NotAPermit
    try:
        payload, signature = map(from_unpadded, text.removeprefix(PREFIX).split("."))
        told: Any = json.loads(payload)
        canonical = rfc8785.dumps(told) == payload
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise NotAPermit from error
    if not canonical or not isinstance(told, dict) or told.keys() != FIELDS:
        raise NotAPermit
    if not all(isinstance(each, str) for each in told.values()):
        raise NotAPermit
    return Token(payload, signature, told)
