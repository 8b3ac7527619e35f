"""Keeping answers that only who sent the request can have again.

An answer of the gate carries a permit's secret. What is kept of it for the sake of ``Idempotency-Key`` is therefore
encrypted with AES-256-GCM (NIST SP 800-38D) under a key derived with HKDF-SHA256 (RFC 5869) from the installation's
secret and the caller's key together; of the caller's key only an HMAC-SHA256 (RFC 2104) is stored. Who reads the table,
or a copy of it, has neither.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_NONCE = 12
_PURPOSE = b"countersign/idempotency/v1/"


class Unreadable(Exception):  # noqa: N818  (it says what the bytes are)
    """These bytes were not sealed with this secret and key for this request, or they were changed since."""


def secrets_in_use() -> Sequence[str]:
    """The installation's secret first, then those that it replaced and still accepts."""
    accepted = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [secret if isinstance(secret, str) else secret.decode() for secret in accepted]


def key_digest(key: str, *, owner: str, secret: str) -> str:
    """HMAC-SHA256 of a caller's key, 64 hexadecimal digits: finds its answer, tells nothing about the key."""
    return _mac(b"key", f"{owner}\n{key}".encode(), secret)


def request_digest(content: bytes, *, secret: str) -> str:
    """HMAC-SHA256 of a request, 64 hexadecimal digits. Keyed: a body may hold a password that can be guessed."""
    return _mac(b"request", content, secret)


def key_hint(key: str, *, owner: str) -> str:
    """24 bits of SHA-256 that outlive a change of the secret: enough to notice a key of before, too few to tell it."""
    return hashlib.sha256(_PURPOSE + b"hint\n" + f"{owner}\n{key}".encode()).hexdigest()[:6]


def secret_name(secret: str) -> str:
    """Sixteen hexadecimal digits that tell one secret of the installation from another."""
    return _mac(b"secret", b"", secret)[:16]


def seal(body: bytes, *, key: str, about: bytes, secret: str) -> bytes:
    """``body`` encrypted: 12 bytes of nonce, then ciphertext with its tag. ``about`` is bound to it, not stored."""
    nonce = os.urandom(_NONCE)
    return nonce + _cipher(key, secret).encrypt(nonce, body, about)


def unseal(sealed: bytes, *, key: str, about: bytes, secret: str) -> bytes:
    """The body again. Raises ``Unreadable``."""
    try:
        return _cipher(key, secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], about)
    except (InvalidTag, ValueError) as error:
        raise Unreadable from error


def _cipher(key: str, secret: str) -> AESGCM:
    derive = HKDF(algorithm=SHA256(), length=32, salt=_PURPOSE + b"body", info=key.encode())
    return AESGCM(derive.derive(secret.encode()))


def _mac(purpose: bytes, content: bytes, secret: str) -> str:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE + purpose).derive(secret.encode())
    return hmac.new(derived, content, hashlib.sha256).hexdigest()
