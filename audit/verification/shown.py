"""Entries against the rows beside them: whether the list shows each entry as its bytes say.

Nearly every entry is as it should be. So the rows of a tile are first compared all at once, column by column, in ways
that never call equal what the rule calls different; when anything is unusual, each row goes through the rule by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import chain
from operator import itemgetter
from typing import Any

from audit.merkle import canonical
from audit.projection import MAX_TEXT, places_of_all, project

#: (leaf index, code of the problem, detail for the sentence)
Problem = tuple[int, str, str]
#: By event id: the index of an entry and its commitments.
Promised = dict[str, tuple[int, dict[str, str]]]

# The time is told without its zone, which is always UTC: times are then compared without looking zones up.
COLUMNS = """
    l.leaf_index, l.leaf_hash, e.entry, e.event_id::text, e.object_key,
    v.occurred_at AT TIME ZONE 'UTC', v.event, v.actor_id, v.subject, v.request_id, v.model, v.environment,
    v.event_id = e.event_id AND v.recorded_at = e.created_at AND v.object_key = e.object_key
"""
#: Which of them is null for an entry that the list does not show.
SHOWN = 5
#: Letters of "2026-01-01T00:00:00.000000Z": as many and a Z at the end leave one reading of a time.
_TIME_LETTERS = 27
_named = itemgetter("id", "object", "event", "subject", "request")


def as_shown(rows: Sequence[tuple[Any, ...]], start: int) -> tuple[list[bytes], Promised] | None:
    """The hashes and commitments of entries from ``start`` on that surely are canonical and shown as they are.

    None says nothing yet: the rule (``check``) decides for each row.
    """
    columns = list(zip(*rows, strict=True))
    indexes, stored, entries, ids, objects, times, events, actors, subjects, requests, models, environments, same = (
        columns
    )
    if indexes != (*range(start, start + len(rows)),) or set(same) != {True} or None in entries:
        return None
    # The tree is built from the bytes: the stored hash proves nothing.
    hashes = [sha256(b"\x00" + entry).digest() for entry in entries]
    if hashes != [*stored] or max(map(len, entries)) > MAX_TEXT:
        return None
    values = canonical.decode_all(entries)
    if values is None:
        return None
    try:
        commits = [value["commit"] for value in values]
        if (
            list(map(_named, values)) == list(zip(ids, objects, events, subjects, requests, strict=True))
            and _times([value["at"] for value in values]) == [*times]
            and _are_ours(values, actors)
            and places_of_all(values) == list(zip(models, environments, strict=True))
        ):
            return hashes, dict(zip(ids, zip(indexes, commits, strict=True), strict=True))
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    return None


def _times(told: Sequence[str]) -> list[datetime] | None:
    if set(map(len, told)) != {_TIME_LETTERS} or {at[-1] for at in told} != {"Z"}:
        return None
    return [datetime.fromisoformat(at[:-1]) for at in told]


def _are_ours(values: Sequence[Mapping[str, Any]], actors: Sequence[str]) -> bool:
    """Whether the entries have our shape, as far as no shown column says so already."""
    told = [value["actor"] for value in values]
    roles = [actor["roles"] for actor in told]
    commits = [value["commit"] for value in values]
    return (
        [actor["id"] for actor in told] == [*actors]
        and set(map(type, chain(commits, [value["facts"] for value in values]))) == {dict}
        and set(map(type, roles)) == {list}
        and set(map(type, chain(chain.from_iterable(roles), chain.from_iterable(map(dict.values, commits))))) <= {str}
    )


def check(row: tuple[Any, ...], problems: list[Problem]) -> tuple[bytes, Promised]:
    """The rule: the hash of one entry and its commitments; what is wrong with it goes to ``problems``."""
    index, stored, data, event_id, object_key, occurred_at, *shown = row
    if data is None:
        problems.append((index, "entry.missing", ""))
        return stored, {}
    hashed = sha256(b"\x00" + data).digest()
    if hashed != stored:
        problems.append((index, "entry.hash", ""))
    try:
        value = canonical.decode(data)
        if value and (value.get("id"), value.get("object")) != (event_id, object_key):
            problems.append((index, "entry.row", ""))
    except canonical.NotCanonical as error:
        problems.append((index, "entry.canonical", str(error)))
    told = project(data, object_key)
    if occurred_at is None:
        problems.append((index, "event.missing", ""))
    elif [occurred_at.replace(tzinfo=UTC), *shown] != [
        *(told.occurred_at, told.event, told.actor_id, told.subject, told.request_id, told.model, told.environment),
        True,
    ]:
        problems.append((index, "event.differs", ""))
    return hashed, {event_id: (index, told.commitments)}
