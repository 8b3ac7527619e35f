"""What a bundle reads from the log, in pieces of bounded size, over one connection that answers in binary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection
from django.utils.translation import gettext as _

from audit.payloads import COLUMNS, Sealed, State, reveal
from audit.refusals import Conflict
from audit.searching import Search
from audit.stored_tree import StoredTree

#: Entries in memory at a time: a multiple of a tile's width; at most 128 MiB if each had the greatest length.
CHUNK = 2048
#: Proofs after which the tiles that they needed are forgotten.
_PROOFS = 4096

_EVERY = """
    SELECT l.leaf_index, e.entry FROM audit.leaf l JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id)
    WHERE l.log_id = %s AND l.leaf_index >= %s AND l.leaf_index < %s ORDER BY l.leaf_index
"""
_CHOSEN = """
    SELECT l.leaf_index, e.entry FROM audit.leaf l JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id)
    WHERE l.log_id = %s AND l.leaf_index = ANY(%s::bigint[]) ORDER BY l.leaf_index
"""
_PRIVATE = f"""
    SELECT v.leaf_index, {COLUMNS} FROM audit.event v
    JOIN audit.payload p ON (p.log_id, p.event_id) = (v.log_id, v.event_id)
    WHERE v.log_id = %s AND v.leaf_index = ANY(%s::bigint[]) AND p.field = ANY(%s::text[])
    ORDER BY v.leaf_index, p.field COLLATE "C"
"""  # noqa: S608  constants only
_ERASED = """
    SELECT v.leaf_index, r.event_id, r.field, r.erasure_id, x.leaf_index FROM audit.event v
    JOIN audit.erased r ON (r.log_id, r.event_id) = (v.log_id, v.event_id)
    JOIN audit.event x ON (x.log_id, x.event_id) = (v.log_id, r.erasure_id)
    WHERE v.log_id = %s AND v.leaf_index = ANY(%s::bigint[]) AND x.leaf_index < %s
    ORDER BY v.leaf_index, r.field COLLATE "C"
"""


@dataclass(frozen=True, slots=True)
class Disclosed:
    """A private value with the salt of its commitment."""

    index: int
    event_id: UUID
    field: str
    salt: bytes
    value: str


@dataclass(frozen=True, slots=True)
class Erased:
    """A committed value that is gone, and the entry that took it away."""

    index: int
    event_id: UUID
    field: str
    erased_by: UUID
    erased_index: int


def rows(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows with bytes as they are: in the text format each byte would travel as two digits."""
    connection.ensure_connection()
    return _rows(connection.connection, sql, values)


def _rows(over: psycopg.Connection[Any], sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with psycopg.Cursor(over) as cursor:
        cursor.execute(sql, values, binary=True)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def every_entry(log: int, size: int) -> Iterator[list[tuple[int, bytes]]]:
    """All entries below ``size`` in order, ``CHUNK`` at a time. Raises ``Conflict`` when the tables miss one."""
    connection.ensure_connection()
    with ThreadPoolExecutor(1) as ahead:  # the database reads the next piece while this one is written

        def ask(start: int) -> Future[list[tuple[int, bytes]]]:
            return ahead.submit(_rows, connection_now, _EVERY, [log, start, min(start + CHUNK, size)])

        connection_now = connection.connection
        coming = ask(0)
        for start in range(0, size, CHUNK):
            found = coming.result()
            if start + CHUNK < size:
                coming = ask(start + CHUNK)
            _require_all(found, min(CHUNK, size - start), start)
            yield found


def chosen_entries(log: int, indexes: Sequence[int]) -> Iterator[list[tuple[int, bytes]]]:
    """The entries at ``indexes``, which ascend."""
    for start in range(0, len(indexes), CHUNK):
        part = indexes[start : start + CHUNK]
        found = rows(_CHOSEN, [log, list(part)])
        _require_all(found, len(part), part[0])
        yield found


def _require_all(found: Sequence[Any], count: int, first: int) -> None:
    if len(found) != count:
        raise Conflict(
            _("The log's tables miss entries from #%(first)d on. Run «manage.py audit_verify» and restore them first.")
            % {"first": first},
            code="export.incomplete",
        )


def chosen(search: Search) -> Iterator[int]:
    """Indexes of everything that the search finds, ascending."""
    above = -1
    while True:
        found = search.walk(above=above, limit=CHUNK)
        yield from found.indexes
        if found.edge is not None:
            above = found.edge
        elif len(found.indexes) == CHUNK:
            above = found.indexes[-1]
        else:
            return


def disclosed(log: int, indexes: Sequence[int], fields: Sequence[str]) -> Iterator[Disclosed]:
    """The values of these fields, as far as they are not erased, in order.

    Raises ``Conflict`` when one cannot be read for another reason: a bundle must not look as if there were nothing.
    """
    found = rows(_PRIVATE, [log, list(indexes), list(fields)])
    for (index, *columns), value in zip(found, reveal(Sealed(*row[1:]) for row in found), strict=True):
        if value.state == State.ERASED:
            continue
        if value.data is None:
            raise Conflict(
                _("The value «%(field)s» of entry #%(index)d cannot be read now (%(why)s), so nothing was exported.")
                % {"field": columns[1], "index": index, "why": value.text},
                code="export.unreadable",
            )
        yield Disclosed(index, columns[0], columns[1], value.salt, value.data.decode())


def any_erased(log: int) -> bool:
    """Whether anything was ever erased in the log: most exports need not look entry by entry."""
    return bool(rows("SELECT EXISTS (SELECT FROM audit.erased WHERE log_id = %s)", [log])[0][0])


def erased(log: int, indexes: Sequence[int], size: int) -> list[Erased]:
    """Which committed values of these entries are gone, each by an entry below ``size``."""
    return [Erased(*row) for row in rows(_ERASED, [log, list(indexes), size])]


class Proofs:
    """Inclusion proofs against one checkpoint; what they read is forgotten now and then, so that memory stays flat."""

    def __init__(self, log: int, size: int) -> None:
        self._log, self._size = log, size
        self._tree, self._given = StoredTree(rows, log, size), 0

    def of(self, index: int) -> list[bytes]:
        """The path of one leaf."""
        if self._given == _PROOFS:
            self._tree, self._given = StoredTree(rows, self._log, self._size), 0
        self._given += 1
        return self._tree.inclusion(index)
