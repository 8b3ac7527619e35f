"""What the server signed, read with suspicion: JSON and base64 in one form only, and keys that are what they say."""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from countersign import asking, ed25519, settings
from countersign.exits import Exit, Stop

PUBLISHED = "/.well-known/countersign-keys.json"
#: No attestation and no key set is near as large.
MAX_BYTES = 4_000_000
_KID = re.compile(r"[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True)
class Key:
    """A public key of the server. ``retired`` is when it last signed; None: it signs."""

    kid: str
    public: bytes
    retired: datetime | None


def trusted(arguments: argparse.Namespace) -> dict[str, Key]:
    """The keys that ``--key`` names: those of a JWK Set in a file; or, for a thumbprint, that one key, fetched from the
    server and compared with the thumbprint. Raises ``Stop``.
    """
    path = Path(arguments.key)
    if path.exists():
        try:
            return keys_in(_limited(path), arguments.key)
        except Unclear as error:
            raise Stop(Exit.USAGE, f"{path} is no set of keys (JWKS): {error}.") from None
    if not _KID.match(arguments.key):
        raise Stop(Exit.USAGE, f"--key {arguments.key!r} is neither a file with keys (JWKS) nor a key's thumbprint.")
    settings.fill(arguments, os.environ, ("url", "token"))
    try:
        found = _keys(asking.get(arguments, PUBLISHED), arguments.url)
    except Unclear as error:
        raise Stop(Exit.UNDECIDED, f"What the server publishes is no set of keys: {error}.") from None
    if arguments.key not in found:
        raise Stop(Exit.MISMATCH, f"The server publishes no key {arguments.key}.")
    return {arguments.key: found[arguments.key]}


class Unclear(ValueError):  # noqa: N818
    """Bytes that do not say one thing and only one; the message says why."""


def content(path: Path) -> bytes:
    """The bytes of a file. Raises ``Stop`` (usage) when there is none, ``Stop`` (mismatch) when it is no such file."""
    try:
        return _limited(path)
    except Unclear as error:
        raise Stop(Exit.MISMATCH, f"{path} {error}.") from None


def _limited(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Stop(Exit.USAGE, f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise Unclear("is larger than anything of the kind")
    return data


def keys_in(data: bytes, where: str) -> dict[str, Key]:
    """Those Ed25519 keys of a JWK Set that sign. Raises ``Unclear``, and ``Stop`` for a key under another's name."""
    return _keys(told(data), where)


def _keys(found: Mapping[str, Any], where: str) -> dict[str, Key]:
    listed = found.get("keys")
    if not isinstance(listed, list):
        raise Unclear("it has no list «keys»")
    keys = {}
    for each in listed:
        if isinstance(each, dict) and (each.get("kty"), each.get("crv")) == ("OKP", "Ed25519"):
            key = _key(each, where)
            if each.get("use", "sig") == "sig" and each.get("alg", "EdDSA") in ("EdDSA", "Ed25519"):
                keys[key.kid] = key
    if not keys:
        raise Unclear("it holds no Ed25519 key")
    return keys


def _key(jwk: Mapping[str, Any], where: str) -> Key:
    x, retired = jwk.get("x"), jwk.get("last_used_at")
    public = unbase64(x, url=True)
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'  # RFC 7638
    kid = base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).decode().rstrip("=")
    if len(public) != 32:
        raise Unclear("an Ed25519 key in it does not have 32 bytes")
    if jwk.get("kid", kid) != kid:
        raise Stop(Exit.MISMATCH, f"In {where} the key {kid} stands under another name, {jwk.get('kid')!r}.")
    return Key(kid, public, None if retired is None else moment(retired))


def told(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``. Raises ``Unclear``; a name twice in one object is unclear too."""
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except Unclear:
        raise
    except (ValueError, RecursionError):
        raise Unclear("it is not JSON") from None
    if not isinstance(found, dict):
        raise Unclear("it is not a JSON object")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unclear("a name stands twice in it")
    return found


def _constant(name: str) -> None:
    raise Unclear(f"{name} is no JSON")


def unbase64(text: Any, *, url: bool = False) -> bytes:
    """The bytes; ``url``: base64url without padding, else base64 with it. Raises ``Unclear`` for any other form."""
    if not isinstance(text, str) or not text.isascii():
        raise Unclear("base64 is missing in it")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4 if url else 0), b"-_" if url else None, validate=True)
    except (binascii.Error, ValueError):
        raise Unclear("its base64 is malformed") from None
    again = base64.urlsafe_b64encode(data).rstrip(b"=") if url else base64.b64encode(data)
    if again.decode() != text:
        raise Unclear("its base64 is not in the one form")
    return data


def moment(text: Any) -> datetime:
    """An instant with its offset. Raises ``Unclear``."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise Unclear(f"{text!r} is no moment") from None
    if found.tzinfo is None:
        raise Unclear(f"{text!r} does not say in which time zone")
    return found


def holds(key: Key, kind: str, payload: bytes, signature: bytes) -> bool:
    """Whether the signature is the key's over the payload of that type (DSSE's pre-authentication encoding)."""
    name = kind.encode()
    return ed25519.verifies(key.public, b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload), signature)
