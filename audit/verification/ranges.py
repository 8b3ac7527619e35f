"""One range of leaves: every entry hashed, decoded, and compared with what is shown of it.

Runs in worker processes, so it knows neither Django nor a language: problems leave as codes (``sentences.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import psycopg

from audit.merkle import canonical
from audit.merkle.tree import HASH_BYTES, TILE_WIDTH, root_of
from audit.projection import MAX_TEXT, places, project
from audit.verification.private import check_private

Connection = psycopg.Connection[tuple[Any, ...]]
#: (leaf index, code of the problem, detail for the sentence)
Problem = tuple[int, str, str]
MAX_PROBLEMS = 100
_TEXTS = {str}
#: Leaves in one range: whole tiles, and little enough to be held in memory.
RANGE = 64 * TILE_WIDTH

# The bounds of ids are those of the very leaves: they change no answer, but let the server read entries in their order.
_BOUNDS = """
    SELECT min(entry_id), max(entry_id) FROM audit.leaf WHERE log_id = %s AND leaf_index >= %s AND leaf_index < %s
"""
_LEAVES = """
    SELECT l.leaf_index, l.leaf_hash, e.entry, e.event_id::text, e.object_key,
           v.occurred_at, v.event, v.actor_id, v.subject, v.object_key, v.request_id, v.model, v.environment,
           v.event_id = e.event_id AND v.recorded_at = e.created_at
    FROM audit.leaf l
    LEFT JOIN audit.entry e ON e.log_id = {log} AND e.id = l.entry_id AND e.id >= {low} AND e.id <= {high}
    LEFT JOIN audit.event v ON v.log_id = {log} AND v.leaf_index = l.leaf_index
        AND v.leaf_index >= {start} AND v.leaf_index < {end}
    WHERE l.log_id = {log} AND l.leaf_index >= {start} AND l.leaf_index < {end} ORDER BY l.leaf_index
"""
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


def _entries(
    connection: Connection, log_id: int, result: RangeResult
) -> tuple[list[bytes], dict[str, tuple[int, Mapping[str, str]]]]:
    """The leaf hashes of the range, and by event id the commitments of each entry with its index."""
    start, end, problems = result.start, result.end, result.problems
    bounds = connection.execute(_BOUNDS, (log_id, start, end)).fetchone() or (0, 0)
    hashes: list[bytes] = []
    promised: dict[str, tuple[int, Mapping[str, str]]] = {}
    low, high = (int(bound or 0) for bound in bounds)
    statement = _LEAVES.format(log=int(log_id), low=low, high=high, start=int(start), end=int(end))
    expected = start
    for index, stored, data, event_id, object_key, *shown in connection.execute(statement, binary=True):
        if index != expected:
            problems.append((min(expected, index), "leaf.missing", str(index)))
            break
        expected += 1
        if shown[1] is not None:
            result.shown += 1
        if data is None:
            hashes.append(stored)
            problems.append((index, "entry.missing", ""))
            continue
        # The tree is built from the bytes: the stored hash proves nothing.
        hashed = sha256(b"\x00" + data).digest()
        hashes.append(hashed)
        if hashed != stored:
            problems.append((index, "entry.hash", ""))
        commitments = _compare(index, data, event_id, object_key, shown, problems)
        promised[event_id] = index, commitments
        if len(problems) > MAX_PROBLEMS:
            del problems[MAX_PROBLEMS:]
    else:
        if expected != end:
            problems.append((expected, "leaf.missing", ""))
    return hashes, promised


def _compare(
    index: int, data: bytes, event_id: str, object_key: str, shown: list[Any], problems: list[Problem]
) -> Mapping[str, str]:
    """Compare the bytes with the rows beside them; the entry's commitments."""
    try:
        value = canonical.decode(data)
    except canonical.NotCanonical as error:
        problems.append((index, "entry.canonical", str(error)))
        value = {}
    if _is_shown(value, data, event_id, object_key, shown):
        commitments: dict[str, str] = value["commit"]
        return commitments
    if value and (value.get("id"), value.get("object")) != (event_id, object_key):
        problems.append((index, "entry.row", ""))
    row = project(data, object_key)
    told = [row.occurred_at, row.event, row.actor_id, row.subject, object_key, row.request_id]
    if shown[1] is None:
        problems.append((index, "event.missing", ""))
    elif shown != [*told, row.model, row.environment, True]:
        problems.append((index, "event.differs", ""))
    return row.commitments


def _is_shown(value: Mapping[str, Any], data: bytes, event_id: str, object_key: str, shown: list[Any]) -> bool:
    """Whether an entry of our shape is shown as it is. The quick way for nearly all; False says nothing yet."""
    try:
        if len(data) > MAX_TEXT or value["id"] != event_id or value["object"] != object_key:
            return False
        actor, commit, roles = value["actor"], value["commit"], value["actor"]["roles"]
        told = [value["event"], actor["id"], value["subject"], object_key, value["request"], *places(value), True]
        return (
            told == shown[1:]
            and datetime.fromisoformat(value["at"]) == shown[0]
            and type(value["facts"]) is dict
            and type(commit) is dict
            and type(roles) is list
            and set(map(type, roles)) <= _TEXTS
            and set(map(type, commit.values())) <= _TEXTS
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
