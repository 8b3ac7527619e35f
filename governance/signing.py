"""Ed25519 keys and what is signed with them: DSSE's pre-authentication encoding. Pure: no Django, no clock.

Every signature is over ``PAE(type, payload)`` (DSSE v1.0.2, «Signature Definition»), so one for an attestation can
never be read as one for a permit. Keys are named by their RFC 7638 thumbprint; JWKs are RFC 8037 octet key pairs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from audit.merkle import edwards

_PEM = re.compile("-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL)
_SEED_BYTES = 32


class NoKey(ValueError):  # noqa: N818
    """The text holds no Ed25519 key; the message says what it is instead, never what it holds."""


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name."""

    private: Ed25519PrivateKey

    @classmethod
    def of_seed(cls, seed: bytes) -> SigningKey:
        """The key of 32 bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public_key(self) -> str:
        """Its 32 public bytes, base64url."""
        return unpadded(self.private.public_key().public_bytes_raw())

    @property
    def kid(self) -> str:
        """Its RFC 7638 thumbprint."""
        return thumbprint(self.public_key)

    def sign(self, kind: str, payload: bytes) -> bytes:
        """64 bytes over the payload and its type."""
        return self.private.sign(pae(kind, payload))


def pae(kind: str, payload: bytes) -> bytes:
    """What is signed."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def holds(public_key: str, kind: str, payload: bytes, signature: bytes) -> bool:
    """Whether the signature is that of the key over the payload and its type."""
    try:
        raw = base64.urlsafe_b64decode(public_key + "=")
        if edwards.defect(raw):
            return False
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, pae(kind, payload))
    except (InvalidSignature, ValueError):
        return False
    return True


def thumbprint(public_key: str) -> str:
    """RFC 7638: SHA-256, base64url, of the canonical JSON of the members that make the key."""
    told = f'{{"crv":"Ed25519","kty":"OKP","x":"{public_key}"}}'
    return unpadded(hashlib.sha256(told.encode()).digest())


def unpadded(data: bytes) -> str:
    """base64url without padding (RFC 7515, appendix C)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_unpadded(text: str) -> bytes:
    """The bytes again. Raises ``ValueError`` unless this is the one way in which they are written."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if unpadded(data) != text:
        raise ValueError("not base64url as it is written here")
    return data


@lru_cache(maxsize=4)
def keys_in(text: str) -> tuple[SigningKey, ...]:
    """The keys in a setting or file: PEM (PKCS 8), or the 32 bytes in base64, one after the other. Raises ``NoKey``."""
    text = text.replace("\\n", "\n")
    found = _PEM.findall(text)
    if found:
        return tuple(_of_pem(each) for each in found)
    return tuple(_of_base64(each) for each in text.replace(",", " ").split())


def _of_pem(text: str) -> SigningKey:
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise NoKey("it is not a readable, unencrypted private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise NoKey("it is a private key of another kind than Ed25519")
    return SigningKey(key)


def _of_base64(text: str) -> SigningKey:
    try:
        seed = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise NoKey("it is neither PEM nor base64") from None
    if len(seed) != _SEED_BYTES:
        raise NoKey(f"it has {len(seed)} bytes instead of {_SEED_BYTES}")
    return SigningKey.of_seed(seed)
