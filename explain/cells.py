"""Columns and cells of a question: what is not a row of the model's table is said with its row and its column."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from audit.refusals import BadInput
from explain.methods.codes import Column, Kind, UnusableColumn, columns_of
from registry.models import ModelVersion

MOST_COLUMNS, MOST_TEXT = 300, 10_000

_KINDS: dict[str, Kind] = {
    "double": "number",
    "float": "number",
    "long": "integer",
    "integer": "integer",
    "boolean": "boolean",
    "string": "string",
    "datetime": "string",
}


def refused(field: str, sentence: str) -> BadInput:
    """What is wrong with one field of a question."""
    return BadInput(sentence, code=f"explanation.{field}", fields={field: sentence})


@dataclass(frozen=True, slots=True)
class Named:
    """A row with the words by which a person finds it: “row “r7”” or “background row 3”."""

    words: str
    values: Mapping[str, Any]


def named(rows: Mapping[str, Mapping[str, Any]], background: Sequence[Mapping[str, Any]]) -> list[Named]:
    """Rows, then background. Raises ``BadInput`` for one that is no object of columns and values."""
    every = [Named(_("row “%(id)s”") % {"id": name}, row) for name, row in rows.items()]
    every += [Named(_("background row %(number)d") % {"number": i}, row) for i, row in enumerate(background, start=1)]
    for each in every:
        if not isinstance(each.values, Mapping):
            field = "rows" if len(every) - len(background) > every.index(each) else "background"
            raise refused(field, _("%(row)s is not an object of columns and values.") % {"row": _capital(each.words)})
    return every


def columns_for(version: ModelVersion, every: Sequence[Named]) -> tuple[Column, ...]:
    """The columns of the version's schema, or of the rows when it has none; every row must have exactly these.

    Raises ``BadInput`` that names the row and the column.
    """
    inputs = version.schema.get("inputs") or []
    declared = {
        str(each.get("name")): kind
        for each in inputs
        if (kind := _KINDS.get(str(each.get("type")).lower())) is not None
    }
    names = [str(each.get("name")) for each in inputs] or [str(name) for name in every[0].values]
    if not 1 <= len(names) <= MOST_COLUMNS:
        raise refused("rows", _("A row has 1 to %(most)d columns.") % {"most": MOST_COLUMNS})
    if not all(map(_storable, names)):
        raise refused("rows", _("The name of a column holds what is no character."))
    for each in every:
        if set(each.values) != set(names):
            raise refused("rows", _row_problem(each, names))
    try:
        found = columns_of([{name: each.values[name] for name in names} for each in every], declared=declared)
    except UnusableColumn as error:
        raise refused("rows", str(error)) from error
    for column in found:
        for each in every:
            _fits(column, each)
    return found


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _row_problem(row: Named, names: Sequence[str]) -> str:
    missing = [name for name in names if name not in row.values]
    extra = [str(name) for name in row.values if name not in names]
    return _("%(row)s does not have the model's columns. Missing: %(missing)s. Unknown: %(extra)s.") % {
        "row": _capital(row.words),
        "missing": ", ".join(missing[:8]) or "–",
        "extra": ", ".join(extra[:8]) or "–",
    }


_ALLOWED: dict[str, tuple[type, ...]] = {
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "string": (str,),
}


def _fits(column: Column, row: Named) -> None:
    """Raises ``BadInput`` when the row's value is not of the column's kind."""
    value = row.values[column.name]
    if value is None:
        return
    right = isinstance(value, _ALLOWED[column.kind]) and (column.kind == "boolean" or not isinstance(value, bool))
    words = {"name": column.name, "row": row.words}
    if not right:
        shown = {**words, "kind": column.kind, "value": json.dumps(value, default=str)[:60]}
        raise refused("rows", _("Column “%(name)s” is a %(kind)s for the model, but %(row)s has %(value)s.") % shown)
    if isinstance(value, float) and not math.isfinite(value):
        raise refused("rows", _("Column “%(name)s”, %(row)s: write null for a missing number.") % words)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise refused("rows", _("Column “%(name)s”, %(row)s: the number is too large.") % words)
    if isinstance(value, str) and len(value) > MOST_TEXT:
        raise refused("rows", _("Column “%(name)s”, %(row)s: the text is too long.") % words)
    if isinstance(value, str) and not _storable(value):
        raise refused("rows", _("Column “%(name)s”, %(row)s: the text holds what is no character.") % words)


def _storable(text: str) -> bool:
    """Neither a NUL nor half of a surrogate pair: PostgreSQL and UTF-8 have none."""
    return "\x00" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def cell(value: Any, kind: str) -> Any:
    """A cell as the model gets it: a whole number in a column of numbers is a number too."""
    return float(value) if kind == "number" and value is not None else value


def cells_of(row: Mapping[str, Any], columns: Sequence[Column]) -> list[Any]:
    """The cells of a row in the order of ``columns``."""
    return [cell(row[column.name], column.kind) for column in columns]
