"""Reading the log: history of a subject, search with keyset pages, one entry, and the state for the top bar.

Entries that the sequencer has not numbered yet are part of every answer; their ``index`` is None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.log import log_id
from audit.models.events import SENTENCES, Event
from audit.payloads import Revealed, Sealed, State, reveal
from audit.projection import project
from audit.searching import Counted as Counted
from audit.searching import Filters as Filters
from audit.searching import Search

MAX_PAGE = 200
#: Entries without a number that are looked at, the newest.
MAX_PENDING = 2000


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry as people read it. ``at`` is the claimed time, ``recorded_at`` the database's; both in UTC.

    ``sealed`` is True once a signed checkpoint covers it.
    """

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
    model: str = ""
    environment: str = ""
    sealed: bool = False

    @property
    def was_told(self) -> bool:
        """Whether ``reason`` is what a refusal told the actor, not what the actor wrote."""
        return bool(self.reason) and "rule" in self.facts


@dataclass(frozen=True, slots=True)
class LogPage:
    """One page, newest first. ``older`` and ``newer`` are indexes for ``before`` and ``after``; None: no such page.

    ``searched_to`` is set when the page ended before it was full because enough of the log was read for one answer:
    there may be more behind ``older`` (or ``newer``, when the page was asked for with ``after``).
    """

    rows: list[EntryRow]
    older: int | None = None
    newer: int | None = None
    searched_to: int | None = None


@dataclass(frozen=True, slots=True)
class LogState:
    """For the top bar. ``state`` is verified, failed or unknown; ``at`` the time of the last verification.

    ``entries`` are in the log now; ``checked`` of them were there when it was last verified.
    """

    state: str
    entries: int
    at: datetime | None
    finding: str = ""
    checked: int = 0


_COLUMNS = "e.event_id, e.created_at, e.object_key, e.entry, name.key_id, name.body, reason.key_id, reason.body"
_PAYLOADS = """
    LEFT JOIN audit.payload name ON (name.log_id, name.event_id, name.field) = (e.log_id, e.event_id, 'actor.name')
    LEFT JOIN audit.payload reason ON (reason.log_id, reason.event_id, reason.field) = (e.log_id, e.event_id, 'reason')
"""
_SIGNED = "coalesce((SELECT max(size) FROM audit.checkpoint c WHERE c.log_id = %s), 0)"
_NUMBERED = f"""
    SELECT l.leaf_index, {_COLUMNS}, l.leaf_index < {_SIGNED}, e.id AS position
    FROM ({{found}}) AS found
    JOIN audit.leaf l ON (l.log_id, l.leaf_index) = (%s, found.leaf_index)
    JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id) {_PAYLOADS}
"""  # noqa: S608  constants only
# Everything from before the newest checkpoint's watermark is in the tree: the search for the rest stays short. The
# limit keeps it short while the sequencer is away, and has the planner walk the index of transactions.
_SINCE_THE_CHECKPOINT = f"""
    SELECT * FROM audit.entry WHERE log_id = %s AND txid >= coalesce(
        (SELECT watermark FROM audit.checkpoint WHERE log_id = %s ORDER BY size DESC LIMIT 1), '0'::xid8)
    ORDER BY txid DESC LIMIT {MAX_PENDING}
"""  # noqa: S608  constants only
_PENDING = f"""
    SELECT NULL::bigint, {_COLUMNS}, false, e.id AS position FROM ({{source}}) AS e {_PAYLOADS}
    WHERE NOT EXISTS (SELECT FROM audit.event v WHERE (v.log_id, v.event_id) = (e.log_id, e.event_id))
"""  # noqa: S608  constants only
_LOGS = "SELECT log_id, origin FROM audit.log ORDER BY log_id DESC"
# The distinct values of a column, each found in its index by a step from the one before.
_EACH = """seen (value) AS (
    (SELECT v.{column} FROM audit.event v WHERE v.log_id = %s AND v.{column} <> '' ORDER BY v.{column} LIMIT 1)
    UNION ALL
    SELECT (SELECT v.{column} FROM audit.event v WHERE v.log_id = %s AND v.{column} <> '' AND v.{column} > seen.value
            ORDER BY v.{column} LIMIT 1) FROM seen WHERE seen.value IS NOT NULL
)"""
_JSON = "convert_from(e.entry, 'UTF8')::jsonb"


def history(subject: str, *, limit: int = 50) -> list[EntryRow]:
    """The newest ``limit`` entries about ``subject``, newest first. One query."""
    return _newest(Filters(subject=subject), limit).rows


def entry_by_event_id(event_id: UUID | str) -> EntryRow | None:
    """The entry that ``append`` gave this id, or None. One query."""
    number = log_id()
    found = "SELECT leaf_index FROM audit.event WHERE log_id = %s AND event_id = %s"
    pending = _PENDING.format(source="SELECT * FROM audit.entry WHERE log_id = %s AND event_id = %s")
    sql = f"{_NUMBERED.format(found=found)} UNION ALL {pending} LIMIT 1"
    rows = _rows(sql, [number, number, event_id, number, number, event_id])
    return rows[0] if rows else None


def entry_at(index: int, log: int = 0) -> EntryRow | None:
    """The entry with this index, in the log in use or in ``log``; or None. One query."""
    rows = _numbered([index], log or log_id())
    return rows[0] if rows else None


def search(
    filters: Filters | None = None, *, before: int | None = None, after: int | None = None, limit: int = 50
) -> LogPage:
    """One page of the log. ``before``: entries with a smaller index; ``after``: with a greater one.

    Pages by key, not by offset: entries that arrive meanwhile neither shift nor repeat rows. At most five queries,
    each of a cost that does not grow with the log.
    """
    return page_of(searching(filters), before=before, after=after, limit=limit)


def searching(filters: Filters | None = None) -> Search:
    """The search itself, for those who ask it for pages and for the count."""
    filters = filters or Filters()
    return Search(filters, filters.log_id or log_id(), fetch)


def page_of(search: Search, *, before: int | None = None, after: int | None = None, limit: int = 50) -> LogPage:
    """One page of a search, see ``search``."""
    limit = max(1, min(limit, MAX_PAGE))
    if before is None and after is None:
        return _newest(search.filters, limit, search)
    found = search.walk(below=before, above=after, limit=limit + 1)
    more = len(found.indexes) > limit
    indexes = sorted(found.indexes[:limit], reverse=True)
    rows = _numbered(indexes, search.log)
    if after is not None:
        newer = indexes[0] if more else found.edge
        return LogPage(rows, older=indexes[-1] if rows else after + 1, newer=newer, searched_to=found.edge)
    older = indexes[-1] if more else found.edge
    return LogPage(rows, older=older, newer=indexes[0] if rows else None, searched_to=found.edge)


def count(filters: Filters | None = None, *, exact: bool = False) -> Counted:
    """How many numbered entries match: exact up to ``SCAN``; beyond it only when ``exact`` asks to read them all."""
    return searching(filters).count(exact=exact)


def stream(filters: Filters | None = None, chunk: int = 1000) -> Iterator[EntryRow]:
    """Every numbered entry that matches, newest first, ``chunk`` rows in memory: as many as ``count`` with ``exact``.

    Entries that arrive meanwhile are not part of it.
    """
    search, before = searching(filters), None
    while True:
        found = search.walk(below=before, limit=chunk)
        yield from _numbered(found.indexes, search.log)
        before = found.edge if found.edge is not None else found.indexes[-1] if len(found.indexes) == chunk else None
        if before is None:
            return


def logs() -> list[tuple[int, str]]:
    """Number and origin of every log of this installation, the newest first. One query."""
    return [(int(number), origin) for number, origin in fetch(_LOGS, [])]


def actors() -> list[tuple[str, str]]:
    """Id and name of everyone in the sequenced log, by name. One query that touches one index row for each actor."""
    sql = f"""
        WITH RECURSIVE {_EACH.format(column="actor_id")}
        SELECT value, p.event_id, p.key_id, p.body FROM seen LEFT JOIN LATERAL (
            SELECT event_id, key_id, body FROM audit.payload p WHERE p.log_id = %s AND p.subject = value
            AND p.field = 'actor.name' ORDER BY p.event_id DESC LIMIT 1) AS p ON true
        WHERE value IS NOT NULL
    """  # noqa: S608  constants only
    found = fetch(sql, [log_id()] * 3)
    sealed = [
        Sealed(event_id, "actor.name", b"", key, body) for _actor, event_id, key, body in found if key is not None
    ]
    private = dict(zip((row.event_id for row in sealed), reveal(sealed), strict=True))
    names = [(actor, _name(actor, private.get(event_id))) for actor, event_id, _key, _body in found]
    return sorted(names, key=lambda pair: pair[1].casefold())


def named(column: Literal["model", "environment"]) -> list[str]:
    """Every model or environment that the sequenced log names. One query, one index row for each."""
    sql = f"WITH RECURSIVE {_EACH.format(column=column)} SELECT value FROM seen WHERE value IS NOT NULL"  # noqa: S608
    return [str(value) for (value,) in fetch(sql, [log_id()] * 2)]


def log_state() -> LogState:
    """Whether the last verification held, of every log, for the top bar. One query; a stale answer is ``unknown``.

    ``failed`` stays until a verification holds again: one that could not be finished explains nothing away.
    """
    sql = """
        SELECT (SELECT coalesce(max(leaf_index) + 1, 0) FROM audit.leaf WHERE log_id = %s), s.outcome, s.finished_at,
               s.finding, s.size, d.outcome, d.finished_at, d.finding, d.size
        FROM (SELECT 1) AS one
        LEFT JOIN LATERAL (SELECT outcome, finished_at, finding, size FROM audit.self_check
                           ORDER BY id DESC LIMIT 1) s ON true
        LEFT JOIN LATERAL (SELECT outcome, finished_at, finding, size FROM audit.self_check
                           WHERE outcome <> 'unknown' ORDER BY id DESC LIMIT 1) d ON s.outcome = 'unknown'
    """
    entries, outcome, at, finding, checked, *decided = fetch(sql, [log_id()])[0]
    if decided[0] == "failed":
        outcome, at, finding, checked = decided
    if outcome == "verified" and not timedelta() <= timezone.now() - at <= stale_after():
        outcome = "unknown"
    return LogState(outcome or "unknown", entries, at, finding or "", checked or 0)


def stale_after() -> timedelta:
    """Twice the interval of the scheduled self-check: an older verification no longer speaks for the log."""
    schedule: Any = settings.CELERY_BEAT_SCHEDULE["verify the log"]["schedule"]
    return timedelta(seconds=2 * float(schedule))


def sentence_of(event: str) -> str:
    """What a person reads after the actor's name; an event of a newer version reads as its own word."""
    try:
        return str(SENTENCES[Event(event)])
    except (ValueError, KeyError):
        return event


def _newest(filters: Filters, limit: int, search: Search | None = None) -> LogPage:
    """The first page: what waits for its number, then the end of the log. One query unless several filters meet."""
    search = search or searching(filters)
    waiting, told = _waiting(filters)
    found, values = search.statement(search.low, search.high, limit + 1)
    pending = _PENDING.format(source=_SINCE_THE_CHECKPOINT) + waiting
    sql = f"""
        (SELECT * FROM ({pending}) AS waiting ORDER BY position DESC LIMIT %s)
        UNION ALL (SELECT * FROM ({_NUMBERED.format(found=found)}) AS numbered ORDER BY 1 DESC)
    """  # noqa: S608  constants only
    number = search.log
    rows = _rows(sql, [number, number, *told, MAX_PAGE, number, *values, number])
    rows = [row for row in rows if row.index is not None or _is_about(row, filters)]
    numbered = [row for row in rows if row.index is not None]
    if search.may_end_early and len(numbered) <= limit:
        return _with_edge(search, rows, limit)
    more = len(rows) > limit
    return LogPage(rows[:limit], older=_index_of_last(rows[:limit], search.high) if more else None)


def _with_edge(search: Search, rows: list[EntryRow], limit: int) -> LogPage:
    """The first page of a search that may have ended before it came to the end of the log."""
    found = search.walk(limit=limit + 1)
    known = set(found.indexes)
    rows = [row for row in rows if row.index is None or row.index in known]
    if len(rows) > limit:
        return LogPage(rows[:limit], older=_index_of_last(rows[:limit], search.high))
    return LogPage(rows, older=found.edge, searched_to=found.edge)


def _is_about(row: EntryRow, filters: Filters) -> bool:
    return (not filters.model or row.model == filters.model) and (
        not filters.environment or row.environment == filters.environment
    )


def _waiting(filters: Filters) -> tuple[str, list[Any]]:
    """Conditions on entries that have no number yet. An old log and a past moment have none."""
    if filters.through is not None or filters.log_id not in (0, log_id()):
        return " AND false", []
    found: list[tuple[str, Any]] = []
    if filters.actor:
        found.append((f"{_JSON} #>> '{{actor,id}}' = %s", filters.actor))
    if filters.events:
        found.append((f"{_JSON} ->> 'event' = ANY(%s)", list(filters.events)))
    if filters.without:
        found.append((f"NOT starts_with({_JSON} ->> 'event', %s)", filters.without + "."))
    if filters.subject.endswith("*"):
        found.append((f"starts_with({_JSON} ->> 'subject', %s)", filters.subject[:-1]))
    elif filters.subject:
        found.append((f"{_JSON} ->> 'subject' = %s", filters.subject))
    if filters.request_id:
        found.append((f"{_JSON} ->> 'request' = %s", filters.request_id))
    if filters.since:
        found.append(("e.created_at >= %s", filters.since))
    if filters.until:
        found.append(("e.created_at < %s", filters.until))
    return "".join(f" AND {condition}" for condition, _value in found), [value for _condition, value in found]


def _numbered(indexes: Sequence[int], log: int) -> list[EntryRow]:
    """The entries with these indexes, the greatest first. One query, none for no index."""
    if not indexes:
        return []
    found = "SELECT unnest(%s::bigint[]) AS leaf_index"
    return _rows(f"{_NUMBERED.format(found=found)} ORDER BY l.leaf_index DESC", [log, list(indexes), log])


def _index_of_last(rows: Sequence[EntryRow], end: int) -> int:
    """Where the next older page begins. Rows without an index come first and are all on the first page's top."""
    for row in reversed(rows):
        if row.index is not None:
            return row.index
    return end + 1


def fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows of a statement over Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _rows(sql: str, values: Sequence[Any]) -> list[EntryRow]:
    found = [row[:10] for row in fetch(sql, values)]
    private = _revealed(found)
    return [_row(row, private) for row in found]


def _revealed(found: Sequence[tuple[Any, ...]]) -> dict[tuple[UUID, str], Revealed]:
    """Names and reasons of the rows, by entry and field. One query for the keys at most."""
    sealed = [
        Sealed(row[1], field, b"", row[at], row[at + 1])
        for row in found
        for field, at in (("actor.name", 5), ("reason", 7))
        if row[at] is not None
    ]
    return {(row.event_id, row.field): told for row, told in zip(sealed, reveal(sealed), strict=True)}


def _row(row: tuple[Any, ...], private: Mapping[tuple[UUID, str], Revealed]) -> EntryRow:
    index, event_id, recorded_at, object_key, data = row[:5]
    name, reason = private.get((event_id, "actor.name")), private.get((event_id, "reason"))
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
        reason=(reason.text if reason is not None else _("erased")) if "reason" in told.commitments else "",
        facts=told.facts,
        recorded_at=recorded_at,
        object_key=object_key,
        request_id=told.request_id,
        roles=told.roles,
        model=told.model,
        environment=told.environment,
        sealed=bool(row[9]),
    )


def _name(actor: str, name: Revealed | None) -> str:
    """The name as it was then; the process for a system; the pseudonym when the name was erased or cannot be read."""
    if name is not None and name.state is State.READABLE:
        return name.text
    if name is not None and name.state is not State.ERASED:
        return f"{actor} ({name.text})"
    return actor.partition(":")[2] if actor.startswith("system:") else actor
