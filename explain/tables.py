"""Rows as people and programs send them, as JSON or CSV, into columns and values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from countersign.tables import cells_of, texts
from django.utils.translation import gettext as _

from audit.refusals import BadInput

#: Characters of a person's name that an erasure takes.
MOST_PERSON = 200
_NUMERIC = {"double": float, "float": float, "long": int, "integer": int}
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def read(text: str, *, field: str, schema: Mapping[str, Any], named: str = "") -> list[Any]:
    """Rows from JSON (a list of objects, or ``{"columns": [...], "data": [[...]]}``) or from CSV with a header.

    CSV cells have no type: they are read as ``schema`` (of the model version) says, else as numbers where every cell
    of the column is one; an empty cell is missing. The column ``named`` stays text: "007" is another person than "7".
    Raises ``BadInput`` on ``field`` with the line.
    """
    stripped = text.strip().lstrip("\ufeff")
    if not stripped:
        raise _bad(field, _("There are no rows."))
    if stripped[0] in "[{":
        return _json(stripped, field)
    types = {str(each.get("name")): str(each.get("type")) for each in schema.get("inputs") or []}
    return _csv(stripped, field, types | ({named: "string"} if named else {}))


def with_ids(rows: Sequence[Any], *, field: str = "rows") -> dict[str, Mapping[str, Any]]:
    """Stable id -> row. A row is ``{"id": ..., "values": {...}}``, or columns only: then its id is its number from 1.

    Raises ``BadInput`` for what is not an object and for an id that occurs twice.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise _bad(field, _("Row %(number)d is not an object of columns and values.") % {"number": number})
        named = set(row) == {"id", "values"} and isinstance(row["values"], Mapping)
        name, values = (str(row["id"]), row["values"]) if named else (str(number), row)
        if name in found:
            raise _bad(field, _("The id “%(id)s” occurs twice.") % {"id": name[:64]})
        found[name] = values
    return found


def person(row: Mapping[str, Any], column: str, row_id: object, *, field: str) -> str:
    """Whom a row is about, as an erasure will name them. Raises ``BadInput`` for nobody, and for too long a name."""
    found = str(row.get(column) if row.get(column) is not None else "").strip()  # erasing strips, too
    if not 1 <= len(found) <= MOST_PERSON:
        words = {"id": str(row_id)[:64], "column": column[:64]}
        missing, long = _("Row “%(id)s” has no “%(column)s”."), _("Row “%(id)s”: “%(column)s” is too long.")
        raise _bad(field, (long if found else missing) % words)
    return found


def behind(rows: Sequence[Any], column: str, *, field: str) -> list[str]:
    """Whom each background row is about, empty for one that does not say; an empty list when none does. A background
    may be of nobody: unlike rows that are explained, it need not have the column. Raises ``BadInput``.
    """
    found = [
        person(row, column, number, field=field) if isinstance(row, Mapping) and _says(row, column) else ""
        for number, row in enumerate(rows, start=1)
    ]
    return found if any(found) else []


def _says(row: Mapping[str, Any], column: str) -> bool:
    return bool(column) and row.get(column) is not None and bool(str(row[column]).strip())


def _bad(field: str, sentence: str) -> BadInput:
    return BadInput(sentence, code=f"explanation.{field}", fields={field: sentence})


def _json(text: str, field: str) -> list[Any]:
    try:
        found = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _bad(field, _("This is not JSON: %(problem)s") % {"problem": error}) from error
    if isinstance(found, dict) and isinstance(found.get("dataframe_split"), dict):
        found = found["dataframe_split"]
    if isinstance(found, dict) and set(found) >= {"columns", "data"}:
        names, data = found["columns"], found["data"]
        if isinstance(names, list) and len(set(map(str, names))) < len(names):
            raise _bad(field, _("A name in “columns” occurs twice."))
        right = isinstance(names, list) and isinstance(data, list)
        if not right or not all(isinstance(row, list) and len(row) == len(names) for row in data):
            raise _bad(field, _("Every list in “data” must have one value for each of “columns”."))
        return [dict(zip(map(str, names), row, strict=True)) for row in data]
    if not isinstance(found, list):
        raise _bad(field, _("Send a list of rows, each an object of columns and values."))
    return found


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if (twice := _twice(name for name, _value in pairs)) is not None:
        raise ValueError(_("the name “%(name)s” occurs twice") % {"name": twice[:64]})
    return dict(pairs)


def _twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]


def _no_constant(word: str) -> None:
    raise ValueError(_("%(word)s is not a JSON value; write null for a missing number") % {"word": word})


def _csv(text: str, field: str, types: Mapping[str, str]) -> list[dict[str, Any]]:
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header, *lines = [line for line in reader if line]
    except csv.Error as error:
        raise _bad(
            field, _("Line %(line)d is not CSV: %(problem)s") % {"line": reader.line_num, "problem": error}
        ) from error
    if (twice := _twice(header)) is not None:
        raise _bad(field, _("The column “%(name)s” occurs twice.") % {"name": twice[:64]})
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise _bad(
                field,
                _("Line %(line)d has %(count)d cells, the header has %(expected)d.")
                % {"line": number, "count": len(line), "expected": len(header)},
            )
    columns = {name: [line[j] for line in lines] for j, name in enumerate(header)}
    typed = {name: _typed(name, cells, types.get(name, ""), field) for name, cells in columns.items()}
    return [{name: typed[name][i] for name in header} for i in range(len(lines))]


def _typed(name: str, cells: Sequence[str], kind: str, field: str) -> list[Any]:
    if kind in ("string", "datetime"):
        return texts(cells)
    if kind == "boolean":
        return [_cell(cell, lambda text: _TRUTH[text.lower()], name, field) for cell in cells]
    if kind in _NUMERIC:
        return [_cell(cell, _NUMERIC[kind], name, field) for cell in cells]
    return cells_of(cells)


def _cell(cell: str, reader: Any, name: str, field: str) -> Any:
    if cell == "":
        return None
    try:
        return reader(cell)
    except (ValueError, KeyError) as error:
        raise _bad(
            field, _("Column “%(name)s”: “%(value)s” does not fit its type.") % {"name": name, "value": cell[:60]}
        ) from error
