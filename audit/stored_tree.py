"""The tree as the database holds it: full tiles as rows, partial ones read from the newest leaves and roots.

It works over Django's connection and over the sequencer's own: callers pass ``fetch(sql, parameters) -> rows``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from audit.merkle.proofs import consistency, inclusion
from audit.merkle.tiles import TileHashes, partial_width
from audit.merkle.tree import HASH_BYTES, TILE_WIDTH, GrowingTree, range_hash

Fetch = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_FULL = """
    SELECT t.level, t.idx, t.hashes FROM audit.tile t JOIN unnest(%s::int[], %s::bigint[]) AS wanted (level, idx)
    ON t.level = wanted.level AND t.idx = wanted.idx WHERE t.log_id = %s
"""
_LEAVES = """
    SELECT leaf_hash FROM audit.leaf WHERE log_id = %s AND leaf_index >= %s AND leaf_index < %s ORDER BY leaf_index
"""
_ROOTS = """
    SELECT t.level, t.root FROM audit.tile t
    JOIN unnest(%s::int[], %s::bigint[], %s::bigint[]) AS wanted (level, low, high)
    ON t.level = wanted.level AND t.idx >= wanted.low AND t.idx < wanted.high
    WHERE t.log_id = %s ORDER BY t.level, t.idx
"""


class StoredTree:
    """The tree of the first ``size`` leaves of a log. Missing rows raise ``LookupError``."""

    def __init__(self, fetch: Fetch, log_id: int, size: int) -> None:
        self._fetch, self._log_id, self.size = fetch, log_id, size
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._hashes = TileHashes(self._tile)

    def root(self) -> bytes:
        """The Merkle tree hash."""
        self._prefetch([])
        return range_hash(self._hashes, 0, self.size)

    def inclusion(self, index: int) -> list[bytes]:
        """The inclusion proof of a leaf, in at most three queries."""
        self._prefetch([index])
        return inclusion(self._hashes, index, self.size)

    def consistency(self, old: int) -> list[bytes]:
        """The proof that this tree extends its own first ``old`` leaves."""
        self._prefetch([max(old - 1, 0)])
        return consistency(self._hashes, old, self.size)

    def partial(self) -> list[list[bytes]]:
        """The hashes of the partial tile of each level, lowest first."""
        self._prefetch([])
        levels = []
        for level in range(self._height()):
            data = self._tiles.get((level, self.size // TILE_WIDTH ** (level + 1)), b"")
            levels.append([data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)])
        return levels

    def growing(self) -> GrowingTree:
        """A tree in memory that can be appended to."""
        return GrowingTree(self.size, self.partial())

    def _height(self) -> int:
        height = 1
        while self.size >> 8 * height:
            height += 1
        return height

    def _prefetch(self, indexes: Sequence[int]) -> None:
        """Read in three queries what proofs for these leaves need: their tiles and the tree's right edge."""
        full: set[tuple[int, int]] = set()
        for level in range(self._height()):
            edge = self.size // TILE_WIDTH ** (level + 1)
            wanted = {index // TILE_WIDTH ** (level + 1) for index in indexes}
            full |= {(level, tile) for tile in wanted if tile < edge}
        full -= self._tiles.keys()
        if full:
            self._read_full(sorted(full))
        if (0, self.size // TILE_WIDTH) not in self._tiles:
            self._read_edge()

    def _read_full(self, wanted: list[tuple[int, int]]) -> None:
        levels, indexes = [level for level, _ in wanted], [index for _, index in wanted]
        for level, index, hashes in self._fetch(_FULL, [levels, indexes, self._log_id]):
            self._tiles[level, index] = bytes(hashes)

    def _read_edge(self) -> None:
        start = self.size - self.size % TILE_WIDTH
        leaves = self._fetch(_LEAVES, [self._log_id, start, self.size])
        self._tiles[0, self.size // TILE_WIDTH] = b"".join(bytes(row[0]) for row in leaves)
        levels = [level for level in range(1, self._height()) if partial_width(self.size, level)]
        if not levels:
            return
        high = [self.size // TILE_WIDTH**level for level in levels]
        low = [edge - edge % TILE_WIDTH for edge in high]
        rows = self._fetch(_ROOTS, [[level - 1 for level in levels], low, high, self._log_id])
        for level, edge in zip(levels, high, strict=True):
            self._tiles[level, edge // TILE_WIDTH] = b"".join(bytes(root) for below, root in rows if below == level - 1)

    def _tile(self, level: int, index: int) -> bytes:
        if (level, index) not in self._tiles and index < self.size // TILE_WIDTH ** (level + 1):
            self._read_full([(level, index)])
        if (level, index) not in self._tiles:
            raise LookupError(f"tile {level}/{index} is missing from the log's tables")
        return self._tiles[level, index]
