"""Names of the people whom entries are about, who need not have done anything themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from audit.log import log_id
from audit.payloads import Sealed, State, reveal
from audit.queries import fetch

_NAMED = """
    SELECT DISTINCT ON (subject) subject, event_id, field, key_id, body FROM audit.payload
    WHERE subject = ANY(%s) AND log_id = %s AND field IN ('display_name', 'actor.name')
    ORDER BY subject, event_id DESC
"""


def names_of(subjects: Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """The newest name of each account among ``subjects``; ``known`` are names that the caller has already.

    Whoever was erased, or whose name cannot be read, is left out. Two queries at most, none when all are known.
    """
    people = {name for name in subjects if name.startswith(("user:", "service:"))}
    names = {name: known[name] for name in people if known.get(name, name) != name}
    wanted = sorted(people - known.keys())
    found = fetch(_NAMED, [wanted, log_id()]) if wanted else []
    told = reveal([Sealed(event_id, field, b"", key, body) for _name, event_id, field, key, body in found])
    names.update({row[0]: each.text for row, each in zip(found, told, strict=True) if each.state is State.READABLE})
    return names
