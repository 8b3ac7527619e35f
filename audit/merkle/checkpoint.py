"""Signed checkpoints: C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0 and the signatures of tlog-cosignature v1.1.

A checkpoint is three lines: origin, size in decimal, root in base64; extension lines are not used. The log signs twice:
Ed25519 (type 0x01), which every witness and ``openssl`` can verify, and ML-DSA-44 (type 0x06, FIPS 204). Witnesses add
lines of type 0x04 (Ed25519 over the time and the checkpoint) or 0x06; see ``audit.merkle.cosignature``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from audit.merkle import edwards
from audit.merkle.tree import HASH_BYTES

ED25519 = 0x01
COSIGNATURE = 0x04
MLDSA44 = 0x06
ALGORITHMS: Mapping[int, str] = {
    ED25519: "Ed25519",
    COSIGNATURE: "Ed25519 cosignature",
    MLDSA44: "ML-DSA-44",
}
#: The types that a log signs with, and those of witnesses (tlog-policy, «Public key representation»).
LOG_ALGORITHMS = frozenset({ED25519, MLDSA44})
WITNESS_ALGORITHMS = frozenset({COSIGNATURE, MLDSA44})
_KEY_BYTES = {ED25519: 32, COSIGNATURE: 32, MLDSA44: 1312}
_TIME_BYTES = 8
_SIGNATURE_BYTES = {ED25519: 64, COSIGNATURE: _TIME_BYTES + 64, MLDSA44: _TIME_BYTES + 2420}
#: signed-note asks for at least 16; a quorum of many witnesses needs more.
_MAX_LINES = 64
#: Sizes and timestamps are signed 64-bit numbers wherever they are stored.
_MAX_NUMBER = 2**63 - 1


class NoteInvalid(ValueError):  # noqa: N818
    """The note is malformed or a signature on it does not hold."""


@dataclass(frozen=True, slots=True)
class Head:
    """A tree head: what a checkpoint says."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The signed text, ending with a line feed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Vkey:
    """A verification key in the form ``name+hex key id+base64(type || public key)``."""

    name: str
    algorithm: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """``SHA-256(name || 0x0A || type || public key)[:4]``."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key).digest()[:4]

    @property
    def algorithm_name(self) -> str:
        """``Ed25519``, ``Ed25519 cosignature`` or ``ML-DSA-44``."""
        return ALGORITHMS[self.algorithm]

    def __str__(self) -> str:
        key = base64.b64encode(bytes([self.algorithm]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> Vkey:
        """Read signed-note's form. Raises ``NoteInvalid`` for an unknown algorithm, a wrong key id or a weak key."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        data = unbase64(encoded, "verification key")
        if not _is_name(name) or not data or len(data) - 1 != _KEY_BYTES.get(data[0]):
            raise NoteInvalid("the verification key is malformed or of an unknown algorithm")
        vkey = cls(name, data[0], data[1:])
        if vkey.key_id.hex() != key_id:
            raise NoteInvalid("the verification key's id does not belong to its key")
        vkey.refuse_weak()
        return vkey

    def refuse_weak(self) -> None:
        """Raise ``NoteInvalid`` for an Ed25519 key that is not canonical, of small order or not on the curve."""
        if self.algorithm != MLDSA44 and (defect := edwards.defect(self.public_key)):
            raise NoteInvalid(f"the verification key of {self.name} is {defect}")

    def verify(self, signature: bytes, head: Head) -> None:
        """Raise ``NoteInvalid`` unless ``signature`` (without the key id) is this key's over ``head``."""
        if len(signature) != _SIGNATURE_BYTES[self.algorithm]:
            raise NoteInvalid(f"the {self.algorithm_name} signature of {self.name} has a wrong length")
        self.refuse_weak()
        try:
            if self.algorithm == ED25519:
                Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, head.body().encode())
                return
            timestamp, signed = self.timestamp(signature), signature[_TIME_BYTES:]
            if self.algorithm == COSIGNATURE:
                message = cosignature_message(timestamp, head)
                Ed25519PublicKey.from_public_bytes(self.public_key).verify(signed, message)
            else:
                message = subtree_message(self.name, timestamp, head)
                MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signed, message)
        except (InvalidSignature, ValueError, OverflowError) as error:
            raise NoteInvalid(f"the {self.algorithm_name} signature of {self.name} does not hold") from error

    def timestamp(self, signature: bytes) -> int:
        """When a signature of type 0x04 or 0x06 says it was made, in seconds since 1970 (``timestamped_signature``).

        Raises ``NoteInvalid`` for a type without a time and for a time beyond 2^63 - 1.
        """
        if self.algorithm == ED25519 or len(signature) < _TIME_BYTES:
            raise NoteInvalid(f"the {self.algorithm_name} signature of {self.name} carries no time")
        timestamp = int.from_bytes(signature[:_TIME_BYTES])
        if timestamp > _MAX_NUMBER:
            raise NoteInvalid(f"the {self.algorithm_name} signature of {self.name} has an impossible time")
        return timestamp


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """``— name base64(key id || signature)`` with its line feed."""
        return f"\u2014 {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint and its signatures, not verified yet."""

    head: Head
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.head.body() + "\n" + "".join(signature.line() for signature in self.signatures)


@dataclass(frozen=True)
class SigningKeys:
    """Both private keys of a log. They live in the signer process only."""

    origin: str
    ed25519: Ed25519PrivateKey
    mldsa44: MLDSA44PrivateKey

    @property
    def vkeys(self) -> tuple[Vkey, Vkey]:
        """The public halves, Ed25519 first."""
        return (
            Vkey(self.origin, ED25519, self.ed25519.public_key().public_bytes_raw()),
            Vkey(self.origin, MLDSA44, self.mldsa44.public_key().public_bytes_raw()),
        )

    def sign(self, head: Head, timestamp: int) -> Note:
        """Sign ``head`` with both keys; ``timestamp`` in seconds since 1970 is part of the ML-DSA-44 line."""
        classic, modern = self.vkeys
        at = timestamp.to_bytes(_TIME_BYTES)
        signed = self.mldsa44.sign(subtree_message(self.origin, timestamp, head))
        return Note(
            head,
            (
                Signature(self.origin, classic.key_id, self.ed25519.sign(head.body().encode())),
                Signature(self.origin, modern.key_id, at + signed),
            ),
        )


def parse(text: str) -> Note:
    """Read a signed checkpoint without verifying it. Raises ``NoteInvalid`` for any deviation from the format."""
    if any(letter < " " and letter != "\n" for letter in text):
        raise NoteInvalid("the note contains a control character")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise NoteInvalid("the note is not UTF-8")
    body, blank, lines = text.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise NoteInvalid("the note has no signatures or does not end with a line feed")
    signatures = lines[:-1].split("\n")
    if len(signatures) > _MAX_LINES:
        raise NoteInvalid("the note has too many signatures")
    return Note(_head(body + "\n"), tuple(parse_line(line) for line in signatures))


def parse_line(line: str) -> Signature:
    """Read one signature line without its line feed. Raises ``NoteInvalid``."""
    dash, _, rest = line.partition(" ")
    name, space, encoded = rest.partition(" ")
    if dash != "\u2014" or not space or not _is_name(name):
        raise NoteInvalid("a signature line is malformed")
    data = unbase64(encoded, "signature")
    if len(data) < 5:
        raise NoteInvalid("a signature line is too short")
    return Signature(name, data[:4], data[4:])


def verify(text: str, vkeys: Iterable[Vkey]) -> Head:
    """The head that *every* key of ``vkeys`` signed, whose origin is their name.

    Raises ``NoteInvalid`` when a signature is missing, doubled or does not hold. Signatures by unknown keys are
    ignored, as signed-note demands.
    """
    note = parse(text)
    known = list(vkeys)
    if not known:
        raise NoteInvalid("there is no key to verify the note with")
    for vkey in known:
        own = [line for line in note.signatures if (line.name, line.key_id) == (vkey.name, vkey.key_id)]
        if len(own) != 1:
            raise NoteInvalid(f"the note has {len(own)} {vkey.algorithm_name} signatures of {vkey.name}, not one")
        if vkey.name != note.head.origin:
            raise NoteInvalid(f"the checkpoint of {note.head.origin} is signed by the key of another log, {vkey.name}")
        vkey.verify(own[0].signature, note.head)
    return note.head


def verify_any(text: str, vkeys: Iterable[Vkey]) -> Head:
    """The head that at least one key of ``vkeys`` signed and on which no signature of a known key fails.

    This is the rule of tlog-policy for its log keys. Raises ``NoteInvalid``.
    """
    note = parse(text)
    signers = {(line.name, line.key_id) for line in note.signatures}
    present = [vkey for vkey in vkeys if (vkey.name, vkey.key_id) in signers]
    if not present:
        raise NoteInvalid("no known key of the log signed the note")
    return verify(text, present)


def cosignature_message(timestamp: int, head: Head) -> bytes:
    """What a witness signs with Ed25519 (tlog-cosignature, «Ed25519 signed message»)."""
    return f"cosignature/v1\ntime {timestamp}\n{head.body()}".encode()


def subtree_message(name: str, timestamp: int, head: Head) -> bytes:
    """What ``name`` signs with ML-DSA-44 over the whole tree (tlog-cosignature, «ML-DSA-44 signed message»)."""
    signer, origin = name.encode(), head.origin.encode()
    return (
        b"subtree/v1\n\x00"
        + bytes([len(signer)])
        + signer
        + timestamp.to_bytes(_TIME_BYTES)
        + bytes([len(origin)])
        + origin
        + (0).to_bytes(8)
        + head.size.to_bytes(8)
        + head.root
    )


def _head(body: str) -> Head:
    lines = body.split("\n")
    if len(lines) != 4 or lines[3]:
        raise NoteInvalid("the checkpoint has not exactly three lines")
    origin, size, root = lines[:3]
    if not _is_name(origin):
        raise NoteInvalid("the checkpoint's origin is malformed")
    hashed = unbase64(root, "root")
    if len(hashed) != HASH_BYTES:
        raise NoteInvalid("the checkpoint's root has not 32 bytes")
    return Head(origin, decimal(size, "checkpoint's size"), hashed)


def decimal(text: str, what: str) -> int:
    """An ASCII decimal without leading zeros, below 2^63. Raises ``NoteInvalid``."""
    if not text.isascii() or not text.isdigit() or (text != "0" and text.startswith("0")) or len(text) > 19:
        raise NoteInvalid(f"the {what} is malformed")
    if int(text) > _MAX_NUMBER:
        raise NoteInvalid(f"the {what} is too large")
    return int(text)


def _is_name(text: str) -> bool:
    return bool(text) and not any(letter.isspace() or letter == "+" or letter < " " for letter in text)


def unbase64(text: str, what: str) -> bytes:
    """The bytes of standard base64 (RFC 4648 section 4) with padding and without stray bits. Raises ``NoteInvalid``."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteInvalid(f"the {what} is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise NoteInvalid(f"the {what} is not canonical base64")
    return data
