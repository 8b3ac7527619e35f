"""Merkle tree hashing (RFC 6962 section 2, the same as RFC 9162 section 2.1) and an incremental tree.

A leaf may be any bytes; the prefixes 0x00 and 0x01 keep leaves and inner nodes apart (second preimages).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

HASH_BYTES = 32
#: Hashes in a full tile (C2SP tlog-tiles).
TILE_WIDTH = 256
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """``SHA-256(0x00 || entry)``."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """``SHA-256(0x01 || left || right)``."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Merkle tree hash of leaf hashes: pairs level by level, an odd last node is carried up unchanged."""
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        # not node_hash: a call for each pair would be a third of the time
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + level[len(level) & ~1 :]
    return level[0]


class Hashes(Protocol):
    """Where proofs get their hashes from."""

    def complete(self, level: int, index: int) -> bytes:
        """Hash of the complete subtree over the leaves ``[index * 2**level, (index + 1) * 2**level)``."""


class LeafHashes:
    """``Hashes`` over a list in memory; every complete subtree is hashed once."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self._levels = [list(leaves)]

    def complete(self, level: int, index: int) -> bytes:
        """See ``Hashes.complete``; ``IndexError`` beyond the last leaf."""
        while len(self._levels) <= level:
            below = self._levels[-1]
            self._levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
        return self._levels[level][index]


def range_hash(hashes: Hashes, start: int, end: int) -> bytes:
    """Merkle tree hash of the leaves ``[start, end)``, where ``start`` is aligned as in RFC 6962's recursion."""
    width = end - start
    if width == 0:
        return EMPTY_ROOT
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return hashes.complete(level, start >> level)
    split = largest_power_below(width)
    return node_hash(range_hash(hashes, start, start + split), range_hash(hashes, start + split, end))


def largest_power_below(n: int) -> int:
    """The largest power of two that is smaller than ``n`` (``n`` at least 2)."""
    return 1 << (n - 1).bit_length() - 1


@dataclass(frozen=True, slots=True)
class FullTile:
    """256 hashes of one level; ``root`` is one hash of the level above."""

    level: int
    index: int
    hashes: bytes
    root: bytes


@dataclass
class GrowingTree:
    """A tree that only grows, kept as the partial tile of each level.

    ``partial[l]`` are the hashes at tile level ``l`` that are not yet in a full tile, so the state is at most 256
    hashes for each level whatever the size of the tree.
    """

    size: int = 0
    partial: list[list[bytes]] = field(default_factory=list)

    def append(self, leaf: bytes) -> list[FullTile]:
        """Add one leaf hash; returns the tiles that it made full, lowest level first."""
        full: list[FullTile] = []
        self.size += 1
        level, carried = 0, leaf
        while True:
            if level == len(self.partial):
                self.partial.append([])
            hashes = self.partial[level]
            hashes.append(carried)
            if len(hashes) < TILE_WIDTH:
                return full
            carried = root_of(hashes)
            full.append(FullTile(level, self.size // TILE_WIDTH ** (level + 1) - 1, b"".join(hashes), carried))
            self.partial[level] = []
            level += 1

    def root(self) -> bytes:
        """The Merkle tree hash of all leaves so far."""
        root: bytes | None = None
        for hashes in self.partial:
            for peak in reversed(_peaks(hashes)):
                root = peak if root is None else node_hash(peak, root)
        return EMPTY_ROOT if root is None else root


def _peaks(hashes: Sequence[bytes]) -> list[bytes]:
    """The roots of the complete subtrees that ``hashes`` splits into, largest first."""
    peaks, start = [], 0
    for bit in range(len(hashes).bit_length() - 1, -1, -1):
        width = 1 << bit
        if len(hashes) & width:
            peaks.append(root_of(hashes[start : start + width]))
            start += width
    return peaks
