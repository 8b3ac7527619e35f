"""What each strategy records of its own about a deployment: a pure schema (no Django, no clock, no I/O).

A record is a JSON object without floating-point numbers, because it is put into canonical bytes: write a fraction as
text. Every field is named here; one that is not is refused, because a misspelt field would be a missing one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: Entries of one list, and characters of one text.
MOST, LONGEST = 1000, 2000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REGION = re.compile(r"[a-z0-9]+:[a-z0-9-]+")
_COUNTRY = re.compile(r"[A-Z]{2}(-[A-Za-z]+)?")


@dataclass(frozen=True, slots=True)
class Problem:
    """``path`` as in ``steps[0].weight``; ``why`` is ``missing``, ``unknown``, ``not_one``, or the shape's name."""

    path: str
    why: str
    allowed: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a value must be; ``inner`` are the fields of an object or of each entry of a list."""

    name: str
    holds: Callable[[Any], bool]
    inner: tuple[Field, ...] = ()
    listed: bool = False
    allowed: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record."""

    name: str
    shape: Shape
    required: bool = True


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= LONGEST and "\x00" not in value


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _moment(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _matching(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


TEXT = Shape("text", _text)
WHOLE = Shape("whole", _whole)
PERCENT = Shape("percent", lambda value: _whole(value) and value <= 100)
MOMENT = Shape("moment", _moment)
DIGEST = Shape("digest", _matching(_DIGEST))
REGION = Shape("region", _matching(_REGION))
COUNTRY = Shape("jurisdiction", _matching(_COUNTRY))


def _one_of(*words: str) -> Shape:
    return Shape("not_one", lambda value: value in words, allowed=", ".join(words))


def _list(of: Shape) -> Shape:
    """At least one value of a shape."""
    return Shape(of.name, of.holds, listed=True, allowed=of.allowed)


def _rows(*fields: Field) -> Shape:
    """At least one object with these fields."""
    return Shape("object", lambda value: isinstance(value, dict), inner=fields, listed=True)


def _object(*fields: Field) -> Shape:
    return Shape("object", lambda value: isinstance(value, dict), inner=fields)


NOTES = Field("notes", TEXT, required=False)
_ARM = (Field("name", TEXT), Field("version", TEXT, required=False))

#: The fields of each strategy, after the table of design section 4.2.
SCHEMAS: Mapping[str, tuple[Field, ...]] = {
    "all_at_once": (Field("endpoint", TEXT), Field("config_digest", DIGEST)),
    "canary": (
        Field(
            "steps",
            _rows(
                Field("at", MOMENT),
                Field("weight", PERCENT),
                Field("moved_by", TEXT),
                Field("guards", _rows(Field("metric", TEXT), Field("value", TEXT)), required=False),
            ),
        ),
    ),
    "blue_green": (
        Field("blue_digest", DIGEST),
        Field("green_digest", DIGEST),
        Field("switched_at", MOMENT),
        Field("blue_kept_until", MOMENT, required=False),
    ),
    "shadow": (
        Field("mirror_percent", PERCENT),
        Field("responses_logged_in", _list(REGION)),
        Field("side_effects_isolated_by", TEXT),
    ),
    "rolling": (
        Field("batch_size", WHOLE),
        Field("steps", _rows(Field("at", MOMENT), Field("digest", DIGEST), Field("replicas", WHOLE))),
        Field("surge", WHOLE, required=False),
    ),
    "champion_challenger": (
        Field("joined_by", TEXT),
        Field("outcome_window", TEXT),
        Field("decision_rule", TEXT),
        Field("rule_fixed_at", MOMENT),
    ),
    "ab": (
        Field("hypothesis", TEXT),
        Field("unit", _one_of("request", "user", "device", "batch", "site")),
        Field("salt", TEXT),
        Field("arms", _rows(*_ARM, Field("percent", PERCENT))),
        Field("sample_size", WHOLE),
        Field("stopping_rule", TEXT),
        Field("assignment_log", TEXT),
    ),
    "bandit": (
        Field("algorithm", TEXT),
        Field("parameters", _rows(Field("name", TEXT), Field("value", TEXT))),
        Field("seed", WHOLE),
        Field("reward", TEXT),
        Field("arms", _rows(*_ARM, Field("floor", PERCENT), Field("ceiling", PERCENT))),
        Field("fallback_arm", TEXT),
        Field("propensity_log", TEXT),
    ),
    "batch": (
        Field("inputs", _rows(Field("dataset", TEXT), Field("digest", TEXT))),
        Field("run", TEXT),
        Field("schedule", TEXT),
        Field("output_location", TEXT),
        Field("output_region", REGION),
        Field("rows_read", WHOLE),
        Field("rows_written", WHOLE),
    ),
    "streaming": (
        Field("consumer_group", TEXT),
        Field(
            "offsets",
            _rows(Field("topic", TEXT), Field("region", REGION), Field("partition", WHOLE), Field("offset", WHOLE)),
        ),
        Field("state_store", TEXT),
    ),
    "edge": (
        Field(
            "cohorts",
            _rows(
                Field("name", TEXT),
                Field("country", COUNTRY),
                Field("devices", WHOLE),
                Field("activated", WHOLE),
                Field("unreachable", WHOLE),
            ),
        ),
        Field("package_digest", DIGEST, required=False),
    ),
    "serverless": (
        Field("alias", TEXT),
        Field("weights", _rows(Field("version", TEXT), Field("weight", PERCENT))),
        Field("concurrency", WHOLE),
        Field("regions", _list(REGION)),
    ),
    "federated": (
        Field("sites", _rows(Field("name", TEXT), Field("jurisdiction", COUNTRY), Field("joined_at", MOMENT))),
        Field("aggregation_site", TEXT),
        Field("round", _object(Field("number", WHOLE), Field("clipping", TEXT), Field("privacy_budget", TEXT))),
    ),
}


def problems(strategy: str, record: Any, *, digest: str) -> tuple[Problem, ...]:
    """Everything that is wrong with the record of a deployment of ``digest``; empty when it is whole.

    Raises ``KeyError`` for a strategy that has no schema.
    """
    fields = SCHEMAS[strategy]
    if not isinstance(record, dict):
        return (Problem("", "object"),)
    found = tuple(_fields(record, (*fields, NOTES), ""))
    return found or tuple(_together(strategy, record, digest))


def required(strategy: str) -> tuple[str, ...]:
    """The names of what a record of ``strategy`` must have."""
    return tuple(field.name for field in SCHEMAS[strategy] if field.required)


def _fields(value: Mapping[str, Any], fields: tuple[Field, ...], path: str) -> Iterator[Problem]:
    known = {field.name for field in fields}
    yield from (Problem(f"{path}{name!s:.80}", "unknown") for name in value if name not in known)
    for field in fields:
        if field.name not in value:
            if field.required:
                yield Problem(f"{path}{field.name}", "missing")
        elif field.shape.listed:
            yield from _listed(value[field.name], field.shape, f"{path}{field.name}")
        else:
            yield from _value(value[field.name], field.shape, f"{path}{field.name}")


def _listed(value: Any, shape: Shape, path: str) -> Iterator[Problem]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST:
        yield Problem(path, "list")
        return
    for position, each in enumerate(value):
        yield from _value(each, shape, f"{path}[{position}]")


def _value(value: Any, shape: Shape, path: str) -> Iterator[Problem]:
    if not shape.holds(value):
        yield Problem(path, shape.name, shape.allowed)
    elif shape.inner:
        yield from _fields(value, shape.inner, f"{path}.")


def _together(strategy: str, record: Mapping[str, Any], digest: str) -> Iterator[Problem]:
    """What the fields say together; only asked of a record whose fields are each right."""
    if strategy == "blue_green" and record["green_digest"] != digest:
        yield Problem("green_digest", "other_digest")
    for name in ("steps",):
        moments = [datetime.fromisoformat(step["at"]) for step in record.get(name, [])]
        if moments != sorted(moments):
            yield Problem(name, "order")
    if strategy == "ab" and sum(arm["percent"] for arm in record["arms"]) != 100:
        yield Problem("arms", "sum")
    if strategy == "serverless" and sum(each["weight"] for each in record["weights"]) != 100:
        yield Problem("weights", "sum")
    if strategy == "bandit":
        yield from _bandit(record)
    for position, each in enumerate(record["cohorts"] if strategy == "edge" else ()):
        if each["activated"] + each["unreachable"] > each["devices"]:
            yield Problem(f"cohorts[{position}]", "counts")


def _bandit(record: Mapping[str, Any]) -> Iterator[Problem]:
    if record["fallback_arm"] not in {arm["name"] for arm in record["arms"]}:
        yield Problem("fallback_arm", "no_arm")
    if any(arm["floor"] > arm["ceiling"] for arm in record["arms"]) or sum(a["floor"] for a in record["arms"]) > 100:
        yield Problem("arms", "bounds")
