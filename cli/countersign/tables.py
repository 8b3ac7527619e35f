"""Rows out of a JSON or CSV file, and the column that says whom each is about."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from countersign.exits import Exit, Stop

#: A cell that is a number and nothing else: "007" is a name, "1_000" and "nan" are no numbers of a table.
_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,4000})")  # int() takes 4,300 digits
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def document(name: str) -> Any:
    """A JSON file. Raises ``Stop`` with a sentence, for a name that occurs twice in an object, too."""
    try:
        return json.loads(Path(name).read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise Stop(Exit.USAGE, f"{name} is no JSON file: {error}.") from error


def rows(name: str, *, person: str = "") -> list[Any]:
    """Rows of a JSON file (a list of objects) or of a CSV file with a header.

    Cells of CSV are read as numbers where every cell of their column is one; those of the column ``person`` stay text.
    Raises ``Stop`` with a sentence.
    """
    if not name.lower().endswith(".csv"):
        found = document(name)
        if not isinstance(found, list):
            raise Stop(Exit.USAGE, f"{name} must hold a list of rows, each an object of columns and values.")
        return found
    try:
        with Path(name).open(encoding="utf-8-sig", newline="") as file:
            header, *lines = [line for line in csv.reader(file, strict=True) if line] or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise Stop(Exit.USAGE, f"{name} is no CSV file: {error}.") from error
    if len(set(header)) < len(header):
        raise Stop(Exit.USAGE, f"{name} has a column twice.")
    if any(len(line) != len(header) for line in lines):
        raise Stop(Exit.USAGE, f"{name} has a line with more or fewer cells than the header.")
    columns = {column: [line[j] for line in lines] for j, column in enumerate(header)}
    columns = {column: texts(cells) if column == person else cells_of(cells) for column, cells in columns.items()}
    return [{column: cells[i] for column, cells in columns.items()} for i in range(len(lines))]


def persons(given: Sequence[Any], column: str) -> tuple[list[Any], dict[str, str]]:
    """The rows without ``column``, and row id -> whom it is about. Ids are as the server gives them: ``id`` of
    ``{"id", "values"}``, else the number from 1. Raises ``Stop`` for a row that names nobody.
    """
    left: list[Any] = []
    found: dict[str, str] = {}
    for number, row in enumerate(given, start=1):
        if not isinstance(row, Mapping):
            raise Stop(Exit.USAGE, f"Row {number} is not an object of columns and values.")
        named = set(row) == {"id", "values"} and isinstance(row["values"], Mapping)
        row_id, values = (str(row["id"]), row["values"]) if named else (str(number), row)
        who = values.get(column)
        if who is None or not str(who).strip():
            raise Stop(Exit.USAGE, f"Row {row_id} has no “{column}”, which says whom it is about.")
        found[row_id] = str(who).strip()
        rest = {name: value for name, value in values.items() if name != column}
        left.append({"id": row["id"], "values": rest} if named else rest)
    return left, found


def behind(given: Sequence[Any], column: str) -> list[str]:
    """Whom each background row is about, empty for one that does not say; an empty list when none does."""
    said = [row.get(column) if isinstance(row, Mapping) else None for row in given]
    found = ["" if who is None else str(who).strip() for who in said]
    return found if any(found) else []


def without(given: Sequence[Any], column: str) -> list[Any]:
    """Background rows without ``column``; a row that is no object stays, and the server says so."""
    return [{k: v for k, v in row.items() if k != column} if isinstance(row, Mapping) else row for row in given]


def cells_of(column: Sequence[str]) -> list[Any]:
    """The cells of a column without a type: numbers where every one is written as one, else text; empty is missing."""
    given = [cell for cell in column if cell]
    for written, read in ((_INTEGER, int), (_NUMBER, float)):
        if all(written.fullmatch(cell) for cell in given):
            return [read(cell) if cell else None for cell in column]
    return texts(column)


def texts(column: Sequence[str]) -> list[Any]:
    """The cells as text; empty is missing."""
    return [cell or None for cell in column]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _value in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"a name occurs twice in {', '.join(sorted(set(names)))[:100]}")
    return dict(pairs)
