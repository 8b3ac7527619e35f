"""The signed manifest of an export: an in-toto Statement v1 in a DSSE envelope, signed with the log's Ed25519 key.

The signer signs what this module lets pass and nothing else. A signed manifest can never be read as a checkpoint, nor
the reverse: DSSE's pre-authentication encoding begins with «DSSEv1 » and holds no line feed, so it never has the three
lines of a checkpoint; and an origin may not contain a space.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import rfc8785

from audit.merkle.checkpoint import ED25519, NoteInvalid, Vkey, parse

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:countersign:export:1"
#: Files that are named one by one; ``SHA256SUMS`` among them holds the digest of every other.
_MAX_SUBJECTS = 32


class ManifestInvalid(ValueError):  # noqa: N818
    """The signer does not sign such a manifest."""


def statement(subjects: Sequence[tuple[str, str]], predicate: dict[str, Any]) -> bytes:
    """The canonical bytes of the Statement over ``(name, SHA-256 in hexadecimal)`` pairs."""
    return rfc8785.dumps(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects],
            "predicateType": PREDICATE,
            "predicate": predicate,
        }
    )


def pae(payload: bytes) -> bytes:
    """What is signed: DSSE v1.0.2, protocol section «Signature Definition»."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def envelope(payload: bytes, keyid: str, signature: bytes) -> bytes:
    """The DSSE envelope as JSON."""
    signatures = [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}]
    told: dict[str, Any] = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": signatures,
    }
    return rfc8785.dumps(told)


def check(payload: bytes, origin: str, vkeys: Sequence[Vkey]) -> None:
    """Raise ``ManifestInvalid`` unless it is an export's Statement about a checkpoint that one of ``vkeys`` signed."""
    try:
        told = json.loads(payload)
        if rfc8785.dumps(told) != payload:
            raise ManifestInvalid("the manifest is not canonical JSON")
        if (told["_type"], told["predicateType"]) != (STATEMENT, PREDICATE):
            raise ManifestInvalid("the manifest is not the Statement of an export")
        if not 0 < len(told["subject"]) <= _MAX_SUBJECTS:
            raise ManifestInvalid("the manifest names no file, or too many")
        note = parse(told["predicate"]["checkpoint"])
    except (ValueError, KeyError, TypeError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise error if isinstance(error, ManifestInvalid) else ManifestInvalid(f"unintelligible: {error}") from error
    if note.head.origin != origin:
        raise ManifestInvalid(f"the manifest is about the log {note.head.origin}, not {origin}")
    for vkey in vkeys:
        for line in note.signatures:
            if vkey.algorithm == ED25519 and (line.name, line.key_id) == (vkey.name, vkey.key_id):
                try:
                    vkey.verify(line.signature, note.head)
                except NoteInvalid as error:
                    raise ManifestInvalid(str(error)) from error
                return
    raise ManifestInvalid("the manifest names a checkpoint that this signer did not sign")
