"""The log as files (C2SP tlog-tiles v0.1.0): their names, their bytes, and which of them a tree of a given size has.

Like ``audit.stored_tree`` this works over any connection: callers pass ``fetch(sql, parameters) -> rows``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from audit.merkle import tiles
from audit.merkle.tree import HASH_BYTES, TILE_WIDTH
from audit.stored_tree import Fetch

#: The levels that the log's tables hold; level 5 is full with 2^48 entries.
MAX_LEVEL = 5
_MAX_SIZE = 2**63 - 1
_NAME = re.compile(r"tile/(entries|[0-5])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)
#: As long as the name of the last entry bundle of 2^63 entries.
_MAX_NAME = len("tile/entries/" + "x000/" * 5 + "000.p/255")


class NotATile(ValueError):  # noqa: N818
    """The text is not the name of a tile."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One file. ``level`` is None for a bundle of entries; ``width`` is 256 or, for a partial tile, less."""

    level: int | None
    index: int
    width: int

    @property
    def sizes(self) -> tuple[int, int]:
        """The sizes ``[low, high)`` of the trees that have this very file; a full tile stays for ever."""
        unit: int = TILE_WIDTH ** (self.level or 0)
        low = (self.index * TILE_WIDTH + self.width) * unit
        return low, _MAX_SIZE if self.width == TILE_WIDTH else low + unit


def tile_path(level: int | None, index: int, width: int = TILE_WIDTH) -> str:
    """``tile/<level>/<index>[.p/<width>]``, the index in groups of three digits; level None: ``tile/entries/…``."""
    return tiles.path("entries" if level is None else level, index, width)


def parse_path(path: str) -> Tile:
    """The inverse of ``tile_path``. Raises ``NotATile`` for every text that it cannot have given."""
    match = _NAME.fullmatch(path) if len(path) <= _MAX_NAME else None
    if match is None:
        raise NotATile(path)
    level, groups, width = match.groups()
    index = int(groups.replace("/", "").replace("x", ""))
    tile = Tile(None if level == "entries" else int(level), index, int(width or TILE_WIDTH))
    # A group 000 in front or .p/256 would be another name for a tile that has one already.
    if tile_path(tile.level, tile.index, tile.width) != path or tile.width > TILE_WIDTH or tile.sizes[0] > _MAX_SIZE:
        raise NotATile(path)
    return tile


def paths(size: int) -> Iterator[tuple[str, int | None, int, int]]:
    """Path, level, index and width of every file of the tree of ``size`` leaves but its checkpoint.

    Hash tiles come first, level by level, then the bundles of entries, whose level is None.
    """
    levels: list[int | None] = [level for level in range(MAX_LEVEL + 1) if size >> tiles.HEIGHT * level]
    for level in [*levels, None] if size else []:
        full, partial = divmod(size >> tiles.HEIGHT * (level or 0), TILE_WIDTH)
        for index in range(full):
            yield tile_path(level, index), level, index, TILE_WIDTH
        if partial:
            yield tile_path(level, full, partial), level, full, partial


def is_published(fetch: Fetch, log_id: int, tile: Tile) -> bool:
    """Whether a signed checkpoint has this file: a full tile that one covers, or a partial one of exactly its size."""
    low, high = tile.sizes
    asked = "SELECT EXISTS (SELECT FROM audit.checkpoint WHERE log_id = %s AND size >= %s AND size < %s)"
    return bool(fetch(asked, [log_id, low, min(high, _MAX_SIZE)])[0][0])


def hash_tile(fetch: Fetch, log_id: int, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
    """The hashes of a tile, one after another. ``LookupError`` when the log's tables do not hold all of them."""
    if width == TILE_WIDTH:
        rows = fetch(
            "SELECT hashes FROM audit.tile WHERE log_id = %s AND level = %s AND idx = %s", [log_id, level, index]
        )
    elif level == 0:
        rows = fetch(
            "SELECT leaf_hash FROM audit.leaf WHERE log_id = %s AND leaf_index >= %s AND leaf_index < %s"
            " ORDER BY leaf_index",
            [log_id, index * TILE_WIDTH, index * TILE_WIDTH + width],
        )
    else:
        rows = fetch(
            "SELECT root FROM audit.tile WHERE log_id = %s AND level = %s AND idx >= %s AND idx < %s ORDER BY idx",
            [log_id, level - 1, index * TILE_WIDTH, index * TILE_WIDTH + width],
        )
    hashes = b"".join(bytes(row[0]) for row in rows)
    if len(hashes) != width * HASH_BYTES:
        raise LookupError(f"the log's tables do not hold {tile_path(level, index, width)}")
    return hashes


def entry_bundle(fetch: Fetch, log_id: int, index: int, width: int = TILE_WIDTH) -> bytes:
    """The entries ``[index * 256, index * 256 + width)``, each after its length in two bytes. ``LookupError`` as above.

    At most 16 MiB: an entry has at most 65,535 bytes.
    """
    rows = fetch(
        "SELECT e.entry FROM audit.leaf l JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id)"
        " WHERE l.log_id = %s AND l.leaf_index >= %s AND l.leaf_index < %s ORDER BY l.leaf_index",
        [log_id, index * TILE_WIDTH, index * TILE_WIDTH + width],
    )
    if len(rows) != width:
        raise LookupError(f"the log's tables do not hold {tile_path(None, index, width)}")
    return tiles.bundle(bytes(row[0]) for row in rows)
