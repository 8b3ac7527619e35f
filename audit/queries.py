"""Reading the log: history of a subject, search with keyset pages, one entry, and the state for the top bar.

Entries that the sequencer has not numbered yet are part of every answer; their ``index`` is None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from audit.log import log_id
from audit.models.events import SENTENCES, Event
from audit.projection import project

#: A verification older than this no longer speaks for the log.
STALE_AFTER = timedelta(hours=3)
MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry as people read it. ``at`` is the claimed time, ``recorded_at`` the database's; both in UTC."""

    index: int | None
    event_id: UUID
    at: datetime
    actor_id: str
    actor_name: str
    event: str
    sentence: str
    subject: str
    reason: str
    facts: dict[str, Any]
    recorded_at: datetime
    object_key: str = ""
    request_id: str = ""
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filters:
    """What to search for; empty means any. A ``subject`` that ends with ``*`` matches all that begin with it.

    ``without`` leaves a group of events out: ``session`` stands for every event whose name begins with ``session.``.
    """

    actor: str = ""
    event: str = ""
    without: str = ""
    subject: str = ""
    request_id: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """One page, newest first. ``older`` and ``newer`` are indexes for ``before`` and ``after``; None: no such page."""

    rows: list[EntryRow]
    older: int | None = None
    newer: int | None = None


@dataclass(frozen=True, slots=True)
class LogState:
    """For the top bar. ``state`` is verified, failed or unknown; ``at`` the time of the last verification."""

    state: str
    entries: int
    at: datetime | None
    finding: str = ""


@dataclass(frozen=True, slots=True)
class _Conditions:
    sequenced: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


_COLUMNS = "e.event_id, e.created_at, e.object_key, e.entry, name.body, reason.body"
_PAYLOADS = """
    LEFT JOIN audit.payload name ON (name.log_id, name.event_id, name.field) = (e.log_id, e.event_id, 'actor.name')
    LEFT JOIN audit.payload reason ON (reason.log_id, reason.event_id, reason.field) = (e.log_id, e.event_id, 'reason')
"""
_SEQUENCED = f"""
    SELECT v.leaf_index, {_COLUMNS}, e.id AS position FROM audit.event v
    JOIN audit.leaf l ON (l.log_id, l.leaf_index) = (v.log_id, v.leaf_index)
    JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id) {_PAYLOADS}
    WHERE v.log_id = %s
"""  # noqa: S608  constants only
# Everything from before the newest checkpoint's watermark is in the tree: the search for the rest stays short.
_PENDING = f"""
    SELECT NULL::bigint, {_COLUMNS}, e.id AS position FROM audit.entry e {_PAYLOADS}
    WHERE e.log_id = %s
    AND e.txid >= coalesce(
        (SELECT watermark FROM audit.checkpoint c WHERE c.log_id = e.log_id ORDER BY size DESC LIMIT 1), '0'::xid8)
    AND NOT EXISTS (SELECT FROM audit.event v WHERE (v.log_id, v.event_id) = (e.log_id, e.event_id))
"""  # noqa: S608  constants only
_JSON = "convert_from(e.entry, 'UTF8')::jsonb"


def history(subject: str, *, limit: int = 50) -> list[EntryRow]:
    """The newest ``limit`` entries about ``subject``, newest first. One query."""
    return _newest(Filters(subject=subject), limit)


def entry_by_event_id(event_id: UUID | str) -> EntryRow | None:
    """The entry that ``append`` gave this id, or None. One query."""
    own = [log_id(), event_id]
    sql = f"{_SEQUENCED} AND v.event_id = %s UNION ALL {_PENDING} AND e.event_id = %s LIMIT 1"
    rows = _rows(sql, own + own)
    return rows[0] if rows else None


def entry_at(index: int) -> EntryRow | None:
    """The entry with this index, or None. One query."""
    rows = _rows(f"{_SEQUENCED} AND v.leaf_index = %s", [log_id(), index])
    return rows[0] if rows else None


def search(
    filters: Filters | None = None, *, before: int | None = None, after: int | None = None, limit: int = 50
) -> LogPage:
    """One page of the log. ``before``: entries with a smaller index; ``after``: with a greater one. One query.

    Pages by key, not by offset: entries that arrive meanwhile neither shift nor repeat rows.
    """
    filters = filters or Filters()
    limit = max(1, min(limit, MAX_PAGE))
    if before is None and after is None:
        rows = _newest(filters, limit + 1)
        older = _index_of_last(rows[:limit]) if len(rows) > limit else None
        return LogPage(rows[:limit], older=older)
    conditions = _conditions(filters)
    where = "".join(f" AND {condition}" for condition in conditions.sequenced)
    if after is not None:
        sql = f"{_SEQUENCED}{where} AND v.leaf_index > %s ORDER BY v.leaf_index LIMIT %s"
        found = _rows(sql, [log_id(), *conditions.values, after, limit + 1])
        rows = list(reversed(found[:limit]))
        return LogPage(rows, older=_index_of_last(rows), newer=rows[0].index if len(found) > limit else None)
    sql = f"{_SEQUENCED}{where} AND v.leaf_index < %s ORDER BY v.leaf_index DESC LIMIT %s"
    found = _rows(sql, [log_id(), *conditions.values, before, limit + 1])
    rows = found[:limit]
    more = len(found) > limit
    return LogPage(rows, older=_index_of_last(rows) if more else None, newer=rows[0].index if rows else None)


def actors() -> list[tuple[str, str]]:
    """Id and name of everyone in the sequenced log, by name. One query that touches one index row for each actor."""
    sql = """
        WITH RECURSIVE seen AS (
            (SELECT actor_id FROM audit.event WHERE log_id = %s ORDER BY actor_id LIMIT 1)
            UNION ALL
            SELECT (SELECT v.actor_id FROM audit.event v WHERE v.log_id = %s AND v.actor_id > seen.actor_id
                    ORDER BY v.actor_id LIMIT 1) FROM seen WHERE seen.actor_id IS NOT NULL
        )
        SELECT actor_id, (SELECT p.body FROM audit.payload p WHERE p.log_id = %s AND p.subject = actor_id
                          AND p.field = 'actor.name' ORDER BY p.event_id DESC LIMIT 1)
        FROM seen WHERE actor_id IS NOT NULL
    """
    names = [(actor, _name(actor, body)) for actor, body in fetch(sql, [log_id()] * 3)]
    return sorted(names, key=lambda pair: pair[1].casefold())


def log_state() -> LogState:
    """Whether the last verification held, for the top bar. One query; a stale answer is ``unknown``."""
    sql = """
        SELECT (SELECT coalesce(max(leaf_index) + 1, 0) FROM audit.leaf WHERE log_id = %s), s.outcome, s.finished_at,
               s.finding
        FROM (SELECT 1) AS one
        LEFT JOIN LATERAL (SELECT outcome, finished_at, finding FROM audit.self_check WHERE log_id = %s
                           ORDER BY id DESC LIMIT 1) s ON true
    """
    entries, outcome, at, finding = fetch(sql, [log_id()] * 2)[0]
    if outcome == "verified" and timezone.now() - at > STALE_AFTER:
        outcome = "unknown"
    return LogState(outcome or "unknown", entries, at, finding or "")


def sentence_of(event: str) -> str:
    """What a person reads after the actor's name; an event of a newer version reads as its own word."""
    try:
        return str(SENTENCES[Event(event)])
    except (ValueError, KeyError):
        return event


def _newest(filters: Filters, limit: int) -> list[EntryRow]:
    conditions = _conditions(filters)
    sequenced = "".join(f" AND {condition}" for condition in conditions.sequenced)
    pending = "".join(f" AND {condition}" for condition in conditions.pending)
    values = [log_id(), *conditions.values, limit]
    sql = f"""
        (SELECT * FROM ({_PENDING}{pending}) AS waiting ORDER BY position DESC LIMIT %s)
        UNION ALL ({_SEQUENCED}{sequenced} ORDER BY v.leaf_index DESC LIMIT %s)
    """  # noqa: S608  constants only
    return _rows(sql, values + values)[:limit]


def _conditions(filters: Filters) -> _Conditions:
    made = _Conditions()

    def add(sequenced: str, pending: str, value: Any) -> None:
        made.sequenced.append(sequenced)
        made.pending.append(pending)
        made.values.append(value)

    if filters.actor:
        add("v.actor_id = %s", f"{_JSON} #>> '{{actor,id}}' = %s", filters.actor)
    if filters.event:
        add("v.event = %s", f"{_JSON} ->> 'event' = %s", filters.event)
    if filters.without:
        add("v.event NOT LIKE %s", f"{_JSON} ->> 'event' NOT LIKE %s", filters.without + ".%")
    if filters.subject.endswith("*"):
        pattern = filters.subject[:-1].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        add("v.subject LIKE %s", f"{_JSON} ->> 'subject' LIKE %s", pattern)
    elif filters.subject:
        add("v.subject = %s", f"{_JSON} ->> 'subject' = %s", filters.subject)
    if filters.request_id:
        add("v.request_id = %s", f"{_JSON} ->> 'request' = %s", filters.request_id)
    if filters.since:
        add("v.recorded_at >= %s", "e.created_at >= %s", filters.since)
    if filters.until:
        add("v.recorded_at < %s", "e.created_at < %s", filters.until)
    return made


def _index_of_last(rows: Sequence[EntryRow]) -> int | None:
    """Where the next older page begins. Rows without an index come first and are all on the first page's top."""
    for row in reversed(rows):
        if row.index is not None:
            return row.index
    return None


def fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows of a statement over Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _rows(sql: str, values: Sequence[Any]) -> list[EntryRow]:
    return [_row(*row[:7]) for row in fetch(sql, values)]


def _row(
    index: int | None, event_id: UUID, recorded_at: datetime, object_key: str, data: bytes, name: bytes, reason: bytes
) -> EntryRow:
    told = project(bytes(data), object_key)
    return EntryRow(
        index=index,
        event_id=event_id,
        at=told.occurred_at,
        actor_id=told.actor_id,
        actor_name=_name(told.actor_id, name if "actor.name" in told.commitments else None),
        event=told.event,
        sentence=sentence_of(told.event),
        subject=told.subject,
        # a private value that the entry does not promise was added later; verification reports it
        reason=bytes(reason).decode(errors="replace") if reason is not None and "reason" in told.commitments else "",
        facts=told.facts,
        recorded_at=recorded_at,
        object_key=object_key,
        request_id=told.request_id,
        roles=told.roles,
    )


def _name(actor: str, body: bytes | None) -> str:
    """The name as it was then; the process for a system; the pseudonym when the name was erased."""
    if body is not None:
        return bytes(body).decode(errors="replace")
    return actor.partition(":")[2] if actor.startswith("system:") else actor
