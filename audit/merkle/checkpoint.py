"""Signed checkpoints: C2SP signed-note v1.0.0, tlog-checkpoint v1.0.0, ML-DSA-44 lines of tlog-cosignature v1.1.

A checkpoint is three lines: origin, size in decimal, root in base64; extension lines are not used. Two signatures
follow: Ed25519 (type 0x01), which every witness and ``openssl`` can verify, and ML-DSA-44 (type 0x06, FIPS 204).
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

from audit.merkle.tree import HASH_BYTES

ED25519 = 0x01
MLDSA44 = 0x06
ALGORITHMS: Mapping[int, str] = {ED25519: "Ed25519", MLDSA44: "ML-DSA-44"}
_KEY_BYTES = {ED25519: 32, MLDSA44: 1312}
_SIGNATURE_BYTES = {ED25519: 64, MLDSA44: 8 + 2420}
_MAX_LINES = 64


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
        """``Ed25519`` or ``ML-DSA-44``."""
        return ALGORITHMS[self.algorithm]

    def __str__(self) -> str:
        key = base64.b64encode(bytes([self.algorithm]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> Vkey:
        """Raises ``NoteInvalid`` for an unknown algorithm, a wrong key id or a malformed key."""
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        data = _unbase64(encoded, "key")
        if not name or data[:1] not in (b"\x01", b"\x06") or len(data) - 1 != _KEY_BYTES[data[0]]:
            raise NoteInvalid("the verification key is malformed or of an unknown algorithm")
        vkey = cls(name, data[0], data[1:])
        if vkey.key_id.hex() != key_id:
            raise NoteInvalid("the verification key's id does not belong to its key")
        return vkey

    def verify(self, signature: bytes, head: Head) -> None:
        """Raise ``NoteInvalid`` unless ``signature`` (without the key id) is this key's over ``head``."""
        if len(signature) != _SIGNATURE_BYTES[self.algorithm]:
            raise NoteInvalid(f"the {self.algorithm_name} signature of {self.name} has a wrong length")
        try:
            if self.algorithm == ED25519:
                Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, head.body().encode())
            else:
                message = _mldsa_message(self.name, signature[:8], head)
                MLDSA44PublicKey.from_public_bytes(self.public_key).verify(signature[8:], message)
        except (InvalidSignature, ValueError) as error:
            raise NoteInvalid(f"the {self.algorithm_name} signature of {self.name} does not hold") from error


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
        at = timestamp.to_bytes(8)
        signed = self.mldsa44.sign(_mldsa_message(self.origin, at, head))
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
    body, blank, lines = text.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise NoteInvalid("the note has no signatures or does not end with a line feed")
    signatures = lines[:-1].split("\n")
    if len(signatures) > _MAX_LINES:
        raise NoteInvalid("the note has too many signatures")
    return Note(_head(body + "\n"), tuple(_signature(line) for line in signatures))


def verify(text: str, vkeys: Iterable[Vkey]) -> Head:
    """The head that *every* key of ``vkeys`` signed. Raises ``NoteInvalid`` when one is missing or does not hold.

    Signatures by unknown keys are ignored, as signed-note demands.
    """
    note = parse(text)
    known = list(vkeys)
    if not known:
        raise NoteInvalid("there is no key to verify the note with")
    for vkey in known:
        own = [line for line in note.signatures if (line.name, line.key_id) == (vkey.name, vkey.key_id)]
        if len(own) != 1:
            raise NoteInvalid(f"the note has {len(own)} {vkey.algorithm_name} signatures of {vkey.name}, not one")
        vkey.verify(own[0].signature, note.head)
    return note.head


def _head(body: str) -> Head:
    lines = body.split("\n")
    if len(lines) != 4 or lines[3]:
        raise NoteInvalid("the checkpoint has not exactly three lines")
    origin, size, root = lines[:3]
    if not origin or any(letter.isspace() or letter == "+" for letter in origin):
        raise NoteInvalid("the checkpoint's origin is malformed")
    if not size.isascii() or not size.isdigit() or (size != "0" and size.startswith("0")) or len(size) > 19:
        raise NoteInvalid("the checkpoint's size is malformed")
    hashed = _unbase64(root, "root")
    if len(hashed) != HASH_BYTES:
        raise NoteInvalid("the checkpoint's root has not 32 bytes")
    return Head(origin, int(size), hashed)


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, space, encoded = rest.partition(" ")
    if dash != "\u2014" or not name or not space or "+" in name or any(letter.isspace() for letter in name):
        raise NoteInvalid("a signature line is malformed")
    data = _unbase64(encoded, "signature")
    if len(data) < 5:
        raise NoteInvalid("a signature line is too short")
    return Signature(name, data[:4], data[4:])


def _unbase64(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteInvalid(f"the {what} is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise NoteInvalid(f"the {what} is not canonical base64")
    return data


def _mldsa_message(name: str, timestamp: bytes, head: Head) -> bytes:
    """The message of an ML-DSA-44 cosignature (tlog-cosignature, «subtree/v1») over the whole tree."""
    signer, origin = name.encode(), head.origin.encode()
    return (
        b"subtree/v1\n\x00"
        + bytes([len(signer)])
        + signer
        + timestamp
        + bytes([len(origin)])
        + origin
        + (0).to_bytes(8)
        + head.size.to_bytes(8)
        + head.root
    )
