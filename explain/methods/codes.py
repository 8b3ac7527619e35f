"""Integer codes per column: what an estimator permutes instead of the values themselves.

shap compares a row with its background by ``np.isclose`` (relative tolerance 1e-5), so that a unix timestamp or an
account size "does not vary" and its effect is lost or given to another feature; it also fails on strings, ``None`` and
dates. Codes compare exactly and are the same for every type.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Kind = Literal["number", "integer", "boolean", "string"]


@dataclass(frozen=True, slots=True)
class Column:
    """A model input. ``kind`` decides how a value travels and whether LIME may treat it as continuous."""

    name: str
    kind: Kind


class UnusableColumn(ValueError):  # noqa: N818
    """A column's values have no common kind that a model could read."""

    def __init__(self, column: str, sentence: str) -> None:
        super().__init__(sentence)
        self.column = column


def _identity(value: Any) -> tuple[str, str]:
    """What makes two cells the same cell: type and exact value; every NaN is the same NaN."""
    if isinstance(value, float) and math.isnan(value):
        return ("float", "nan")
    return (type(value).__name__, repr(value))


class Codebook:
    """Every distinct value of every column, numbered in order of first appearance.

    ``rows`` are sequences of cells in the order of ``columns``. The same rows in the same order give the same codes,
    but no result depends on the numbering: only equality of codes matters.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> None:
        self.columns = tuple(columns)
        self._values: list[list[Any]] = [[] for _ in columns]
        self._code: list[dict[tuple[str, str], int]] = [{} for _ in columns]
        for row in rows:
            for j, value in enumerate(row):
                known = self._code[j]
                if (identity := _identity(value)) not in known:
                    known[identity] = len(self._values[j])
                    self._values[j].append(value)
        self._tables = [_table(values) for values in self._values]

    def encode(self, rows: Sequence[Sequence[Any]]) -> Codes:
        """Codes of shape (len(rows), columns). Raises ``KeyError`` for a value that the book was not made with."""
        coded = [[self._code[j][_identity(value)] for j, value in enumerate(row)] for row in rows]
        return np.array(coded, dtype=np.int32).reshape(len(rows), len(self.columns))

    def decode(self, codes: Codes) -> list[npt.NDArray[Any]]:
        """One array of values per column, each of length ``len(codes)``."""
        return [table[codes[:, j]] for j, table in enumerate(self._tables)]


def _table(values: list[Any]) -> npt.NDArray[Any]:
    if values and all(type(value) is float for value in values):
        return np.array(values, dtype=np.float64)
    table = np.empty(len(values), dtype=object)
    table[:] = values
    return table


def kind_of(name: str, values: Sequence[Any]) -> Kind:
    """The narrowest kind that holds all ``values`` (``None`` fits everywhere).

    Raises:
        UnusableColumn: text mixed with numbers, or a nested value, which no column of a table can hold.
    """
    kinds = {_kind(name, value) for value in values if value is not None}
    if not kinds:
        raise UnusableColumn(name, f"Column {name!r} is empty in every row, so its type cannot be known.")
    if kinds <= {"number", "integer"}:
        return "number" if "number" in kinds else "integer"
    if len(kinds) == 1:
        return kinds.pop()
    raise UnusableColumn(name, f"Column {name!r} mixes {' and '.join(sorted(kinds))} values.")


def _kind(name: str, value: Any) -> Kind:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
    raise UnusableColumn(
        name, f"Column {name!r} holds a {type(value).__name__}; a cell is text, a number or a boolean."
    )


def columns_of(rows: Sequence[Mapping[str, Any]], *, declared: Mapping[str, Kind] | None = None) -> tuple[Column, ...]:
    """The columns of ``rows`` in the order of the first one, with declared kinds before inferred ones."""
    names = list(rows[0])
    kinds = dict(declared or {})
    return tuple(Column(name, kinds.get(name) or kind_of(name, [row[name] for row in rows])) for name in names)
