"""Private values of a range of entries: each is opened and compared with the commitment in its entry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audit import payloads
from audit.payloads import Sealed, State

if TYPE_CHECKING:
    from audit.verification.ranges import Connection, RangeResult

#: By event id: the index of an entry and its commitments.
Promised = Mapping[str, tuple[int, Mapping[str, str]]]

# Event ids grow with time, so those of a range lie together; strays that spread them out are met by the second form.
_BETWEEN = f"""
    SELECT p.event_id::text, {payloads.COLUMNS} FROM audit.payload p
    WHERE p.log_id = %s AND p.event_id >= %s::uuid AND p.event_id <= %s::uuid LIMIT %s
"""  # noqa: S608  a constant
_NAMED = f"""
    SELECT p.event_id::text, {payloads.COLUMNS} FROM audit.payload p
    WHERE p.log_id = %s AND p.event_id = ANY(%s::uuid[])
"""  # noqa: S608  a constant
# The erasure must be an entry that says so itself, not only a row that claims one.
_ERASED = """
    SELECT r.event_id::text, r.field, v.leaf_index FROM audit.erased r
    JOIN audit.entry x ON x.event_id = r.erasure_id
    LEFT JOIN audit.event v ON v.log_id = x.log_id AND v.event_id = x.event_id
    WHERE r.log_id = %s AND r.event_id = ANY(%s::uuid[])
    AND convert_from(x.entry, 'UTF8')::jsonb ->> 'event' = 'subject.erased'
"""


def check_private(connection: Connection, log_id: int, promised: Promised, result: RangeResult) -> None:
    """Add to ``result`` what is wrong with the private values of the entries ``promised``."""
    if not promised:
        return
    missing = {(event_id, name) for event_id, (_, named) in promised.items() for name in named}
    names, rows = _rows(connection, log_id, promised)
    result.private += len(rows)
    states: Counter[str] = Counter()
    for event_id, row, value in zip(names, rows, payloads.reveal(rows), strict=True):
        index, commitments = promised[event_id]
        missing.discard((event_id, row.field))
        if row.field not in commitments:
            result.problems.append((index, "private.added", row.field))
        elif value.state == State.READABLE:
            if value.commitment != commitments[row.field]:
                result.problems.append((index, "private.differs", row.field))
        elif value.state == State.DAMAGED:
            result.problems.append((index, "private.differs", row.field))
        else:
            states[value.state] += 1
    result.unreadable += states[State.UNAVAILABLE]
    result.destroyed += states[State.ERASED]
    if missing:
        _explain_missing(connection, log_id, promised, missing, result)


def _rows(connection: Connection, log_id: int, promised: Promised) -> tuple[list[str], list[Sealed]]:
    limit = 8 * len(promised) + 1000
    found: list[tuple[Any, ...]] = connection.execute(
        _BETWEEN, (log_id, min(promised), max(promised), limit), binary=True
    ).fetchall()
    if len(found) == limit:
        found = connection.execute(_NAMED, (log_id, list(promised)), binary=True).fetchall()
    own = [row for row in found if row[0] in promised]
    return [row[0] for row in own], [Sealed(*row[1:]) for row in own]


def _explain_missing(
    connection: Connection, log_id: int, promised: Promised, missing: set[tuple[str, str]], result: RangeResult
) -> None:
    erased = {
        (event_id, name): index
        for event_id, name, index in connection.execute(_ERASED, (log_id, sorted({each for each, _ in missing})))
    }
    for event_id, name in missing:
        if (event_id, name) in erased:
            result.erased.append((promised[event_id][0], name, erased[event_id, name]))
        else:
            result.problems.append((promised[event_id][0], "private.missing", name))
