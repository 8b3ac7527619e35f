"""Names and shapes of tiles (C2SP tlog-tiles v0.1.0), and proofs computed from tiles alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from audit.merkle.tree import HASH_BYTES, TILE_WIDTH, root_of

#: log2 of the tile width: tree levels that one tile spans.
HEIGHT = 8

#: ``fetch(level, index)`` gives the hashes of a tile, full or partial, one after another.
Fetch = Callable[[int, int], bytes]


def path(level: int | str, index: int, width: int = TILE_WIDTH) -> str:
    """The address of a tile: ``tile/<level>/<index>[.p/<width>]``; ``level`` may be ``"entries"``."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    name = "/".join(reversed(groups))
    return f"tile/{level}/{name}" + ("" if width == TILE_WIDTH else f".p/{width}")


def partial_width(size: int, level: int) -> int:
    """How many hashes the rightmost, partial tile of ``level`` holds in a tree of ``size`` leaves; 0: there is none."""
    return (size >> HEIGHT * level) % TILE_WIDTH


def bundle(entries: Iterable[bytes]) -> bytes:
    """An entry bundle: each entry after its length in two bytes."""
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


class TileHashes:
    """``audit.merkle.tree.Hashes`` over tiles, each fetched once."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._tiles: dict[tuple[int, int], bytes] = {}

    def complete(self, level: int, index: int) -> bytes:
        """See ``Hashes.complete``; ``LookupError`` when the tile is too short for the subtree."""
        tile_level, height = divmod(level, HEIGHT)
        width = 1 << height
        tile, offset = divmod(index * width, TILE_WIDTH)
        data = self._tile(tile_level, tile)[offset * HASH_BYTES : (offset + width) * HASH_BYTES]
        if len(data) != width * HASH_BYTES:
            raise LookupError(f"{path(tile_level, tile)} has no {width} hashes from {offset}")
        return root_of([data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)])

    def _tile(self, level: int, index: int) -> bytes:
        key = (level, index)
        if key not in self._tiles:
            self._tiles[key] = self._fetch(level, index)
        return self._tiles[key]
