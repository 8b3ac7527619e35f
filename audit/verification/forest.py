"""Ranges become one tree again: the upper tiles, and the root at every size that somebody signed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from audit.merkle.tree import EMPTY_ROOT, HASH_BYTES, TILE_WIDTH, FullTile, GrowingTree
from audit.verification.ranges import RangeResult


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that a tree of ``size`` leaves needs to go on growing: the hashes of the unfinished tile of each level."""

    size: int
    partial: list[list[bytes]]

    def root(self) -> bytes:
        """The Merkle tree hash of the leaves so far."""
        return GrowingTree(self.size, self.partial).root()


@dataclass
class Forest:
    """``wanted`` are sizes whose root will be asked for; those before ``start`` stay unknown.

    ``upper`` are the full tiles of level 1 and above, ``frontier`` the state at the largest wanted size so far.
    """

    wanted: list[int]
    start: int = 0
    above: list[list[bytes]] = field(default_factory=list)
    upper: list[FullTile] = field(default_factory=list)
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY_ROOT})
    frontier: Frontier = field(default_factory=lambda: Frontier(0, []))
    partial: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tiles = GrowingTree(self.start // TILE_WIDTH, [list(level) for level in self.above])

    @property
    def size(self) -> int:
        """Leaves so far."""
        return self._tiles.size * TILE_WIDTH + len(self.partial)

    def root(self) -> bytes:
        """The Merkle tree hash of all leaves so far."""
        return Frontier(self.size, [self.partial, *self._tiles.partial]).root()

    def take(self, result: RangeResult) -> None:
        """Add the next range. Ranges come in order and begin with a tile."""
        for root in result.roots:
            index = self._tiles.size
            if index in result.inside:
                self._remember(_split(result.inside[index]), below=TILE_WIDTH)
            for tile in self._tiles.append(root):
                self.upper.append(FullTile(tile.level + 1, tile.index, tile.hashes, tile.root))
            self._remember([], below=1)
        self.partial = result.partial
        self._remember(self.partial, below=len(self.partial) + 1)

    def _remember(self, hashes: list[bytes], *, below: int) -> None:
        """Roots of the wanted sizes that end within the next ``below`` leaves after the full tiles."""
        base = self._tiles.size * TILE_WIDTH
        for size in self.wanted[bisect_left(self.wanted, base) : bisect_right(self.wanted, base + below - 1)]:
            if size not in self.roots:
                self.frontier = Frontier(size, [hashes[: size - base], *map(list, self._tiles.partial)])
                self.roots[size] = self.frontier.root()


def _split(data: bytes) -> list[bytes]:
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def differences(forest: Forest, stored: Iterable[tuple[int, int, bytes, bytes]]) -> Iterable[tuple[str, int, int]]:
    """What stored tiles of level 1 and above do not fit: ``differs``, ``extra`` or ``missing`` with level and index."""
    missing = {(tile.level, tile.index): tile for tile in forest.upper}
    for level, index, hashes, root in stored:
        tile = missing.pop((level, index), None)
        if tile is None:
            if (index + 1) * TILE_WIDTH ** (level + 1) > forest.size:
                yield "extra", level, index
        elif (tile.hashes, tile.root) != (hashes, root):
            yield "differs", level, index
    for level, index in missing:
        yield "missing", level, index
