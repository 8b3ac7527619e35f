"""One entry with everything an outsider needs to check it: bytes, hash, inclusion proof and signed checkpoint."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audit import payloads
from audit.keyring import keyring
from audit.log import log_id
from audit.merkle.checkpoint import Note, parse
from audit.merkle.proofs import sides
from audit.merkle.receipt import Receipt
from audit.projection import project
from audit.queries import EntryRow, entry_at, fetch
from audit.stored_tree import StoredTree


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed checkpoint as stored; ``note`` is the exact text."""

    size: int
    root: bytes
    note: str
    created_at: datetime

    @property
    def parsed(self) -> Note:
        """Head and signature lines."""
        return parse(self.note)


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Why the entry is in the tree that the checkpoint signs: siblings from leaf to root."""

    path: tuple[bytes, ...]
    checkpoint: Checkpoint

    @property
    def base64(self) -> list[str]:
        """The siblings as C2SP tlog-proof writes them."""
        return [base64.b64encode(hashed).decode() for hashed in self.path]

    def for_pymerkle(self, index: int, leaf_hash: bytes) -> dict[str, Any]:
        """The same proof as ``pymerkle.MerkleProof.deserialize`` reads it: it counts leaves from one."""
        size = self.checkpoint.size
        return {
            "type": "inclusion",
            "metadata": {"algorithm": "sha256", "security": True, "size": size, "index": index + 1},
            "rule": [*sides(index, size), 0],
            "path": [hashed.hex() for hashed in (leaf_hash, *self.path)],
        }


@dataclass(frozen=True, slots=True)
class EntryDetail:
    """``data`` are the canonical bytes that were hashed. ``inclusion`` is None until a checkpoint covers the entry."""

    row: EntryRow
    data: bytes
    leaf_hash: bytes
    commitments: dict[str, str]
    sealed_at: datetime | None
    inclusion: Inclusion | None
    #: Erased private values, each with the index of the entry that erased it (None until that one is sequenced).
    erased: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def proof_text(self) -> str:
        """The receipt in the format c2sp.org/tlog-proof@v1; empty until a checkpoint covers the entry."""
        if self.inclusion is None or self.row.index is None:
            return ""
        return Receipt(self.row.index, self.inclusion.path, self.inclusion.checkpoint.note).text()


_BYTES = """
    SELECT e.entry, e.leaf_hash,
           (SELECT c.created_at FROM audit.checkpoint c WHERE c.log_id = l.log_id AND c.size > l.leaf_index
            ORDER BY c.size LIMIT 1)
    FROM audit.leaf l JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id)
    WHERE l.log_id = %s AND l.leaf_index = %s
"""
_NEWEST = "SELECT size, root, note, created_at FROM audit.checkpoint WHERE log_id = %s ORDER BY size DESC LIMIT 1"


def detail(index: int, log: int = 0) -> EntryDetail | None:
    """The entry with this index, or None. At most six queries whatever the size of the log.

    ``log`` is the number of another log than the one in use.
    """
    number = log or log_id()
    row = entry_at(index, number)
    if row is None:
        return None
    data, leaf_hash, sealed_at = fetch(_BYTES, [number, index])[0]
    checkpoint = newest_checkpoint(number)
    inclusion = None
    if checkpoint is not None and checkpoint.size > index:
        path = StoredTree(fetch, number, checkpoint.size).inclusion(index)
        inclusion = Inclusion(tuple(path), checkpoint)
    commitments = project(bytes(data), row.object_key).commitments
    gone = payloads.erased(number, [row.event_id]) if commitments else {}
    taken = {name: index for (_event, name), (_erasure, index) in gone.items()}
    return EntryDetail(row, bytes(data), bytes(leaf_hash), commitments, sealed_at, inclusion, taken)


def newest_checkpoint(log: int = 0) -> Checkpoint | None:
    """The newest signed checkpoint, or None before the first. One query."""
    rows = fetch(_NEWEST, [log or log_id()])
    if not rows:
        return None
    size, root, note, created_at = rows[0]
    return Checkpoint(size, bytes(root), note, created_at)


def vkeys(log: int = 0) -> list[str]:
    """The keys that sign the newest checkpoint, in the order of its lines: Ed25519 first. One query."""
    return [str(vkey) for vkey in keyring(fetch, log or log_id()).valid()]
