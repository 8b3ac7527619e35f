"""What an entry's bytes say: the fields of the read model. One bad entry must not stop the log, so nothing raises."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

#: Stands for the event of an entry whose bytes are not of our shape.
UNREADABLE = "unreadable"
#: Bytes in UTF-8. PostgreSQL refuses an index row of more than 2704, and a refused row would stop the sequencer.
MAX_TEXT = 2000
#: Facts that name a version, model or environment, in the order in which they are believed.
_TELLING = ("version", "by_version", "target", "source")
_PLACES = frozenset({"model", "environment", *_TELLING})
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Projection:
    """The searchable and readable fields of one entry; times in UTC.

    ``model`` and ``environment`` are the names of those that the entry is about, empty for none.
    """

    event: str
    actor_id: str
    subject: str
    object_key: str
    request_id: str
    occurred_at: datetime
    model: str = ""
    environment: str = ""
    roles: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    commitments: dict[str, str] = field(default_factory=dict)


def project(data: bytes, object_key: str) -> Projection:
    """Read an entry; what is not of our shape becomes ``unreadable`` and keeps its place."""
    try:
        return of_value(orjson.loads(data), object_key)
    except orjson.JSONDecodeError:
        return _projected_slowly(data, object_key)  # JSON has more than orjson takes


def _projected_slowly(data: bytes, object_key: str) -> Projection:
    try:
        entry = json.loads(data)
        # half a surrogate pair or an infinite number is valid in JSON, but neither a column nor an answer can hold it
        json.dumps(entry, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return _unreadable(object_key)
    return of_value(entry, object_key)


def of_value(entry: Any, object_key: str) -> Projection:
    """The same for an entry that ``canonical.decode`` or ``project`` has decoded."""
    try:
        model, environment = places(entry)
        return Projection(
            event=_text(entry["event"]),
            actor_id=_text(entry["actor"]["id"]),
            subject=_text(entry["subject"]),
            object_key=_text(entry["object"]),
            request_id=_text(entry["request"]),
            occurred_at=datetime.fromisoformat(entry["at"]).astimezone(UTC),
            model=model,
            environment=environment,
            roles=tuple(_text(role) for role in entry["actor"]["roles"]),
            facts=dict(entry["facts"]),
            commitments={_text(name): _text(value) for name, value in entry["commit"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return _unreadable(object_key)


def places(entry: Any) -> tuple[str, str]:
    """The model and the environment that an entry is about, empty for none. Raises as an unreadable entry does."""
    if entry["facts"].keys().isdisjoint(_PLACES):
        return _model_of(entry["subject"]), _environment_of(entry["subject"])
    return _place(entry, "model", _model_of), _place(entry, "environment", _environment_of)


def places_of_all(entries: Sequence[Any]) -> list[tuple[str, str]]:
    """``places`` of each, faster when the facts of none name one. Raises as an unreadable entry does."""
    if _PLACES.isdisjoint(set().union(*[entry["facts"] for entry in entries])):
        subjects = [entry["subject"] for entry in entries]
        return list(zip(map(_model_of, subjects), map(_environment_of, subjects), strict=True))
    return list(map(places, entries))


def _unreadable(object_key: str) -> Projection:
    return Projection(UNREADABLE, "", object_key, object_key, "", _NO_TIME)


def _place(entry: Any, kind: str, named: Callable[[str], str]) -> str:
    """Which model or environment the entry is about: its subject's, else the first that its facts name.

    Facts name it as ``{"version": "version:credit-scoring/14"}``. An edge between two models is the target's.
    """
    subject, facts = entry["subject"], entry["facts"]
    if isinstance(subject, str) and (name := named(subject)):
        return name
    for key in (kind, *_TELLING):
        told = facts.get(key)
        if isinstance(told, str) and (name := named(told)):
            return name
    return ""


@lru_cache(1000)
def _model_of(subject: str) -> str:
    kind, _colon, rest = subject.partition(":")
    if kind in ("version", "alias"):
        return _text(rest.rpartition("/")[0])
    return _text(rest) if kind == "model" else ""


@lru_cache(1000)
def _environment_of(subject: str) -> str:
    kind, _colon, rest = subject.partition(":")
    return _text(rest) if kind == "environment" else ""


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value or len(value.encode()) > MAX_TEXT:  # half a character raises too
        raise ValueError("not a text that an indexed column can hold")
    return value
