"""One range of leaves: every entry hashed, decoded, and compared with what is shown of it.

Runs in worker processes, so it knows neither Django nor a language: problems leave as codes (``sentences.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from audit.merkle.tree import HASH_BYTES, TILE_WIDTH, root_of
from audit.verification.private import check_private
from audit.verification.shown import COLUMNS, SHOWN, Problem, Promised, as_shown, check

Connection = psycopg.Connection[tuple[Any, ...]]
MAX_PROBLEMS = 100
#: Leaves in one range: whole tiles, and little enough to be held in memory.
RANGE = 64 * TILE_WIDTH

# The bounds of ids are those of the very leaves: they change no answer, but let the server read entries in their order.
_BOUNDS = """
    SELECT min(entry_id), max(entry_id) FROM audit.leaf WHERE log_id = %s AND leaf_index >= %s AND leaf_index < %s
"""
_LEAVES = f"""
    SELECT {COLUMNS}
    FROM audit.leaf l
    LEFT JOIN audit.entry e ON e.log_id = {{log}} AND e.id = l.entry_id AND e.id >= {{low}} AND e.id <= {{high}}
    LEFT JOIN audit.event v ON v.log_id = {{log}} AND v.leaf_index = l.leaf_index
        AND v.leaf_index >= {{start}} AND v.leaf_index < {{end}}
    WHERE l.log_id = {{log}} AND l.leaf_index >= {{start}} AND l.leaf_index < {{end}} ORDER BY l.leaf_index
"""  # noqa: S608  a constant
_TILES = "SELECT idx, hashes, root FROM audit.tile WHERE log_id = %s AND level = 0 AND idx >= %s AND idx < %s"


@dataclass
class RangeResult:
    """What a range gives to the whole: the roots of its full tiles and what is left to compare.

    ``partial`` are the leaf hashes of its last, unfinished tile; ``inside`` those of full tiles in which a wanted size
    ends. ``shown`` and ``private`` count the rows that belong to entries of the range; ``unreadable`` values could not
    be opened because nobody answered for their key, ``destroyed`` ones because it is gone without an erasure here.
    """

    start: int
    end: int
    roots: list[bytes] = field(default_factory=list)
    partial: list[bytes] = field(default_factory=list)
    inside: dict[int, bytes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    #: (leaf index, field, index of the erasure's entry or None while it is not numbered)
    erased: list[tuple[int, str, int | None]] = field(default_factory=list)
    shown: int = 0
    private: int = 0
    unreadable: int = 0
    destroyed: int = 0


def prepare(connection: Connection) -> None:
    """Settings of a session that reads ranges: the parallel work is ours, and a range fits in memory."""
    for setting in ("max_parallel_workers_per_gather = 0", "work_mem = '64MB'", "jit = off"):
        connection.execute(f"SET LOCAL {setting}")


def check_range(connection: Connection, log_id: int, start: int, end: int, wanted: frozenset[int]) -> RangeResult:
    """Check the leaves ``[start, end)``; ``start`` is the first leaf of a tile. ``wanted`` sizes need their root."""
    result = RangeResult(start, end)
    hashes, promised = _entries(connection, log_id, result)
    check_private(connection, log_id, promised, result)
    bounds = (log_id, start // TILE_WIDTH, -(-end // TILE_WIDTH))
    stored = {index: (data, root) for index, data, root in connection.execute(_TILES, bounds, binary=True)}
    for first in range(0, len(hashes), TILE_WIDTH):
        tile, index = hashes[first : first + TILE_WIDTH], (start + first) // TILE_WIDTH
        if len(tile) < TILE_WIDTH:
            result.partial = tile
            break
        root, data = root_of(tile), b"".join(tile)
        result.roots.append(root)
        if any(index * TILE_WIDTH < size < (index + 1) * TILE_WIDTH for size in wanted):
            result.inside[index] = data
        if index not in stored:
            result.problems.append(((index + 1) * TILE_WIDTH - 1, "tile.missing", f"0/{index}"))
        elif stored[index] != (data, root):
            result.problems.append((_differing(index, stored[index][0], data), "tile.differs", f"0/{index}"))
    result.problems = sorted(result.problems)[:MAX_PROBLEMS]
    return result


def _differing(index: int, stored: bytes, data: bytes) -> int:
    """The first leaf whose hash differs; the tile's last when only the root does."""
    for offset in range(0, len(data), HASH_BYTES):
        if stored[offset : offset + HASH_BYTES] != data[offset : offset + HASH_BYTES]:
            return index * TILE_WIDTH + offset // HASH_BYTES
    return (index + 1) * TILE_WIDTH - 1


def _entries(connection: Connection, log_id: int, result: RangeResult) -> tuple[list[bytes], Promised]:
    """The leaf hashes of the range, and by event id the commitments of each entry with its index."""
    start, end = result.start, result.end
    bounds = connection.execute(_BOUNDS, (log_id, start, end)).fetchone() or (0, 0)
    hashes: list[bytes] = []
    promised: Promised = {}
    low, high = (int(bound or 0) for bound in bounds)
    statement = _LEAVES.format(log=int(log_id), low=low, high=high, start=int(start), end=int(end))
    cursor = connection.execute(statement, binary=True)
    expected = start
    while rows := cursor.fetchmany(TILE_WIDTH):
        found = as_shown(rows, expected) or _one_by_one(rows, expected, result)
        hashes += found[0]
        promised |= found[1]
        expected += len(found[0])
        result.shown += sum([row[SHOWN] is not None for row in rows])
        if len(found[0]) < len(rows):
            return hashes, promised
    if expected != end:
        result.problems.append((expected, "leaf.missing", ""))
    return hashes, promised


def _one_by_one(rows: Sequence[tuple[Any, ...]], expected: int, result: RangeResult) -> tuple[list[bytes], Promised]:
    """The same as ``as_shown`` with what is wrong; ends before a gap in the indexes."""
    hashes: list[bytes] = []
    promised: Promised = {}
    for index, row in enumerate(rows, expected):
        if row[0] != index:
            result.problems.append((min(index, row[0]), "leaf.missing", str(row[0])))
            break
        hashed, commitments = check(row, result.problems)
        hashes.append(hashed)
        promised |= commitments
        del result.problems[MAX_PROBLEMS:]
    return hashes, promised
