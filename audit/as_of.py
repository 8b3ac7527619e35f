"""The state at a moment, from the entries up to then: nothing is read from tables that may have changed since.

A moment names the last entry that was recorded by then. What the entries up to it say is the state: each object's
facts, later ones over earlier ones, and no object that was removed. Entries without a number are not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from audit.models.events import Event
from audit.projection import project
from audit.queries import fetch
from audit.refusals import BadInput, Refused
from audit.searching import last_by

#: Facts about the change itself, not about what was changed.
_OF_THE_CHANGE = frozenset({"before", "after", "from", "to"})


@dataclass(frozen=True, slots=True)
class AsOf:
    """A moment and the last entry that was recorded by then, in the log ``log_id``."""

    at: datetime
    log_id: int
    last: int

    @property
    def query(self) -> str:
        """The moment as links carry it."""
        return self.at.isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Told:
    """One entry as a fold reads it."""

    log_id: int
    index: int
    event: str
    subject: str
    object_key: str
    actor_id: str
    recorded_at: datetime
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """What the entries up to a moment say of one object; ``began`` is the entry that registered it."""

    began: Told
    last: Told
    facts: dict[str, Any]

    @property
    def subject(self) -> str:
        """Its name."""
        return self.last.subject


def fold(entries: Iterable[Told]) -> dict[str, State]:
    """Objects by ``table/id``, in the order in which they were registered. Pure; entries in the order of the log.

    A transition's ``to`` becomes the fact ``state``.
    """
    states: dict[str, State] = {}
    for told in entries:
        if told.event == Event.RECORD_REMOVED:
            states.pop(told.object_key, None)
            continue
        known = states.get(told.object_key)
        facts = {key: value for key, value in told.facts.items() if key not in _OF_THE_CHANGE}
        if "to" in told.facts:
            facts["state"] = told.facts["to"]
        began, before = (known.began, known.facts) if known else (told, {})
        states[told.object_key] = State(began, told, {**before, **facts})
    return states


def asked(text: str) -> AsOf | None:
    """The moment that ``?as_of=`` names, or None when it is not given. At most two queries.

    Raises ``BadInput`` for what is no moment with its zone, ``Refused`` for a moment that has not come, or from before
    the log began: nobody can say what was then.
    """
    at = moment(text)
    if at is None:
        return None
    if at > timezone.now():
        sentence = _("%(moment)s has not come yet: the log can only say what was.") % {"moment": _said(at)}
        raise Refused(sentence, code="as_of.future")
    for (log,) in fetch("SELECT log_id FROM audit.log ORDER BY log_id DESC", []):
        last = last_by(fetch, int(log), at)
        if last >= 0:
            return AsOf(at, int(log), last)
    raise Refused(
        _("%(moment)s is before the first entry of the log: nothing is known of then.") % {"moment": _said(at)},
        code="as_of.before_the_log",
    )


def moment(text: str) -> datetime | None:
    """A moment in RFC 3339 with its zone, or as a form sends it, which is UTC; None when nothing is given.

    Raises ``BadInput`` for anything else.
    """
    text = text.strip()
    if not text:
        return None
    try:
        found = parse_datetime(text.replace(" ", "+") + ("Z" if len(text) in (16, 19) and text[-1] != "Z" else ""))
        if found is not None and timezone.is_aware(found):
            found = found.astimezone(UTC)  # a day of the year 1 or 9999 may be none in UTC
    except (ValueError, OverflowError):
        found = None
    if found is None or timezone.is_naive(found):
        raise BadInput(
            _("“%(given)s” is not a moment. Write date, time and zone, for example 2026-11-22T09:00:00Z.")
            % {"given": text[:60]},
            code="as_of.malformed",
            fields={"as_of": _("A date and a time with its zone (RFC 3339).")},
        )
    return found


def states(
    as_of: AsOf, events: Sequence[Event], *, of: tuple[Literal["model", "environment", "subject"], str] | None = None
) -> dict[str, State]:
    """The fold of these events, and of removals, up to the moment; ``of`` keeps to one model, environment or subject.

    One query. Its cost is that of the entries that it folds: one for each change of what is shown.
    """
    where = f" AND v.{of[0]} = %s" if of else ""
    sql = f"""
        SELECT v.log_id, v.leaf_index, v.event, v.subject, v.object_key, v.actor_id, v.recorded_at, e.entry
        FROM audit.event v
        JOIN audit.leaf l ON (l.log_id, l.leaf_index) = (v.log_id, v.leaf_index)
        JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id)
        WHERE v.event = ANY(%s) AND (v.log_id, v.leaf_index) <= (%s, %s) AND v.log_id <= %s{where}
        ORDER BY v.log_id, v.leaf_index
    """  # noqa: S608  constants only
    wanted = [event.value for event in (*events, Event.RECORD_REMOVED)]
    values = [wanted, as_of.log_id, as_of.last, as_of.log_id, *([of[1]] if of else [])]
    return fold(_told(row) for row in fetch(sql, values))


def _told(row: tuple[Any, ...]) -> Told:
    facts = project(bytes(row[7]), row[4]).facts
    log, index, event, subject, object_key, actor, recorded_at = row[:7]
    return Told(log, index, event, subject, object_key, actor, recorded_at, facts)


def _said(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
