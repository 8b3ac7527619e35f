"""What the tests of signed checkpoints share: a log's keys, two witnesses, and trees small and large."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from audit.merkle import canonical
from audit.merkle.checkpoint import (
    COSIGNATURE,
    MLDSA44,
    Head,
    Signature,
    SigningKeys,
    Vkey,
    cosignature_message,
    subtree_message,
)
from audit.merkle.tree import LeafHashes, leaf_hash, root_of

ORIGIN = "tests.example/log"
KEYS = SigningKeys(
    ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)), MLDSA44PrivateKey.from_seed_bytes(bytes(range(32)))
)
NOON = 1_700_000_000


@dataclass(frozen=True)
class Witness:
    """A witness with a key of either type."""

    name: str
    key: Ed25519PrivateKey | MLDSA44PrivateKey

    @property
    def vkey(self) -> Vkey:
        """What a policy lists."""
        algorithm = COSIGNATURE if isinstance(self.key, Ed25519PrivateKey) else MLDSA44
        return Vkey(self.name, algorithm, self.key.public_key().public_bytes_raw())

    def line(self, head: Head, timestamp: int = NOON) -> str:
        """Its cosignature of ``head``, with line feed."""
        if isinstance(self.key, Ed25519PrivateKey):
            message = cosignature_message(timestamp, head)
        else:
            message = subtree_message(self.name, timestamp, head)
        return Signature(self.name, self.vkey.key_id, timestamp.to_bytes(8) + self.key.sign(message)).line()


CLASSIC = Witness("witness.example/classic", Ed25519PrivateKey.from_private_bytes(bytes([1] * 32)))
MODERN = Witness("witness.example/modern", MLDSA44PrivateKey.from_seed_bytes(bytes([2] * 32)))


def note_of(head: Head, *witnesses: Witness, timestamp: int = NOON) -> str:
    """The log's signed checkpoint with the cosignatures of these witnesses."""
    return str(KEYS.sign(head, timestamp)) + "".join(witness.line(head, timestamp) for witness in witnesses)


def entry(number: int) -> bytes:
    """Canonical bytes that look like an entry; entry 7 is empty but for its braces, entry 8 is long."""
    facts: Mapping[str, object] = {
        "name": "Zoë",
        "number": number,
        "text": "x" * (5_000 if number == 8 else number % 70),
    }
    return canonical.encode({} if number == 7 else {"event": "model.changed", "facts": facts, "v": 1})


@cache
def entries_of(size: int) -> tuple[bytes, ...]:
    """The entries of the tree of ``size``."""
    return tuple(entry(number) for number in range(size))


@cache
def leaves_of(size: int) -> tuple[bytes, ...]:
    """Their leaf hashes."""
    return tuple(leaf_hash(one) for one in entries_of(size))


@cache
def hashes_of(size: int) -> LeafHashes:
    """Where proofs get their hashes from."""
    return LeafHashes(leaves_of(size))


def head_of(size: int, of: int = 300) -> Head:
    """The head of the first ``size`` leaves."""
    return Head(ORIGIN, size, root_of(leaves_of(max(size, of))[:size]))
