"""Logs that follow one another: one for each year when ``LOG_SHARDS`` is ``year``, or whenever one is closed.

A log is (origin, log_id). Closing is ordered by an entry in the old log. The sequencer then inserts the successor's
row, and every writer chooses the newest log inside its own INSERT; once the last writer of the old log has ended, the
old log gets its closing entry and its final checkpoint, and the successor's first entry names both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from audit import current_log, log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict
from audit.signer_protocol import is_origin
from audit.stored_tree import Fetch

_SHARDS = """
    SELECT l.log_id, l.origin, l.created_at,
           (SELECT coalesce(max(f.leaf_index) + 1, 0) FROM audit.leaf f WHERE f.log_id = l.log_id),
           (SELECT coalesce(max(c.size), 0) FROM audit.checkpoint c WHERE c.log_id = l.log_id),
           (SELECT coalesce(array_agg(s.kind), '{}') FROM audit.log_state s WHERE s.log_id = l.log_id),
           (SELECT max(s.created_at) FROM audit.log_state s WHERE s.log_id = l.log_id AND s.kind IN ('closed', 'lost'))
    FROM audit.log l ORDER BY l.log_id
"""
_ORDERED = """
    SELECT FROM audit.entry e WHERE e.log_id = %s AND e.object_key = %s
    AND convert_from(e.entry, 'UTF8')::jsonb ->> 'event' = 'log.closing'
    AND NOT EXISTS (SELECT FROM audit.leaf l WHERE (l.log_id, l.entry_id) = (e.log_id, e.id)) LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Shard:
    """One log. ``size`` leaves, ``signed`` of them under a checkpoint; ``ended_at`` in UTC."""

    log_id: int
    origin: str
    created_at: datetime
    size: int
    signed: int
    states: tuple[str, ...]
    ended_at: datetime | None

    @property
    def state(self) -> str:
        """``waiting`` for its first entry, ``open``, ``closing``, ``closed``, ``lost`` or ``detached``."""
        for state in ("detached", "lost"):
            if state in self.states:
                return state
        if "closed" in self.states:
            return "closed" if self.size == self.signed else "closing"
        return "open" if "opened" in self.states else "waiting"

    @property
    def finished(self) -> bool:
        """Whether nothing will ever be added to it."""
        return self.state in ("closed", "lost", "detached")


def shards(fetch: Fetch) -> list[Shard]:
    """Every log, the oldest first. One query."""
    return [Shard(row[0], row[1], row[2], row[3], row[4], tuple(row[5]), row[6]) for row in fetch(_SHARDS, [])]


def unfinished(fetch: Fetch) -> Shard | None:
    """The log that the sequencer works on: the oldest that still takes entries; None before the first."""
    return next((shard for shard in shards(fetch) if not shard.finished), None)


def first_origin(now: datetime | None = None) -> str:
    """What a new installation's log is called: ``LOG_ORIGIN``, with the year when there is a log for each."""
    year = (now or datetime.now(UTC)).year
    return f"{settings.LOG_ORIGIN}/{year}" if settings.LOG_SHARDS == "year" else str(settings.LOG_ORIGIN)


def next_origin(taken: Sequence[str], now: datetime | None = None) -> str:
    """A name for the successor that no log has had: the year's, or the same one with a number."""
    name = first_origin(now)
    number, chosen = 1, name
    while chosen in taken:
        number += 1
        chosen = f"{name}.{number}"
    return chosen


def order_closing(*, reason: str, origin: str = "", stands: dict[str, Any] | None = None, by: Actor) -> str:
    """Order that the current log be closed; returns the successor's name. The sequencer does it within seconds.

    ``reason`` is one of ``year``, ``operator`` or ``compromise``; ``stands`` is the head that stands after a
    compromise. Raises ``Conflict`` when the log is being closed already, ``BadInput`` for a bad name.
    """
    known = shards(_fetch)
    if not known or known[-1].state != "open":
        raise Conflict(
            _("The newest log is not open yet. Wait for the sequencer, then try again."), code="log.not_open"
        )
    current = known[-1]
    successor = origin or next_origin([shard.origin for shard in known])
    if not is_origin(successor) or successor in {shard.origin for shard in known}:
        raise BadInput(
            _("«%(name)s» cannot be the next log's name: it must be new, without spaces and +, at most 255 bytes.")
            % {"name": successor},
            code="log.origin",
        )
    subject = f"log:{current.origin}"
    if _fetch(_ORDERED, [current.log_id, subject]):
        raise Conflict(_("The log is being closed already."), code="log.closing")
    facts: dict[str, Any] = {"log": current.origin, "successor": successor, "reason": reason}
    with transaction.atomic():
        log.append(Event.LOG_CLOSING, subject, facts=facts | ({"stands": stands} if stands else {}), by=by)
    return successor


def close_if_due(now: datetime | None = None) -> str:
    """Order the next year's log when the year of the current one is over; returns its name, or nothing.

    Does nothing unless ``LOG_SHARDS`` is ``year``. Safe to repeat.
    """
    known = shards(_fetch)
    wanted = first_origin(now)
    if settings.LOG_SHARDS != "year" or not known or known[-1].state != "open":
        return ""
    if wanted in {shard.origin for shard in known}:
        return ""
    try:
        return order_closing(reason="year", origin=wanted, by=Actor.system("year-end"))
    except Conflict:
        return ""


def current() -> int:
    """The number of the newest log; at most a second old."""
    return current_log.number()


def _fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
