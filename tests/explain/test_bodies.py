"""Cells that a wire format cannot hold are refused with their column, and the value is not in the sentence."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from explain.methods.codes import Column
from explain.serving import bodies
from explain.serving.protocol import RequestRefused, Table


def one(kind: Any, cells: list[Any]) -> Table:
    made = np.empty(len(cells), dtype=object)
    made[:] = cells
    return Table((Column("salary", kind),), [made])


@pytest.mark.parametrize(
    ("rows", "datatype"),
    [
        (one("string", ["41277"]), "FP64"),
        (one("integer", [1, None]), "INT64"),
        (one("number", [41277.5]), "INT32"),
        (one("integer", [41277]), "INT8"),
        (one("integer", [-41277]), "UINT64"),
        (one("number", [float("nan")]), "INT64"),
    ],
)
def test_a_tensor_names_the_column_that_it_cannot_hold(rows: Table, datatype: str) -> None:
    with pytest.raises(RequestRefused, match="Column “salary”") as caught:
        bodies.matrix(rows, datatype)
    assert "41277" not in caught.value.sentence


@pytest.mark.parametrize("rows", [one("integer", [2**70]), one("number", ["41277x"]), one("integer", [1.5])])
def test_parquet_names_the_column_that_it_cannot_hold(rows: Table) -> None:
    with pytest.raises(RequestRefused, match="Column “salary”") as caught:
        bodies.parquet(rows)
    assert "41277" not in caught.value.sentence


@pytest.mark.parametrize("rows", [one("integer", [2**70]), one("string", ["\ud800"])])
def test_json_cannot_hold_everything_either(rows: Table) -> None:
    with pytest.raises(RequestRefused, match="cannot be written as JSON"):
        bodies.dumps(bodies.lists(rows))


def test_parquet_keeps_types_missing_values_and_every_bit() -> None:
    rows = Table(
        (Column("a", "number"), Column("b", "integer"), Column("c", "string"), Column("d", "boolean")),
        [
            np.array([0.1, np.nan, -0.0]),
            *(one("x", cells).cells[0] for cells in ([2**53 + 1, None, -1], ["x", None, "x"], [True, None, False])),
        ],
    )
    read = pq.read_table(io.BytesIO(bodies.parquet(rows)))
    assert [str(field.type) for field in read.schema] == ["double", "int64", "string", "bool"]
    assert read["a"].to_numpy().tobytes() == rows.cells[0].tobytes()
    assert read["b"].to_pylist() == [2**53 + 1, None, -1]
    assert read["c"].to_pylist() == ["x", None, "x"]
    assert read["d"].to_pylist() == [True, None, False]


def test_whole_numbers_that_are_floats_fit_a_column_of_integers() -> None:
    rows = Table((Column("a", "integer"),), [np.array([1.0, 2.0])])
    assert pq.read_table(io.BytesIO(bodies.parquet(rows)))["a"].to_pylist() == [1, 2]


def test_whole_numbers_and_truth_values_fit_a_tensor_of_floats() -> None:
    rows = Table(
        (Column("a", "integer"), Column("b", "boolean"), Column("c", "number")),
        [one("x", cells).cells[0] for cells in ([1, None], [True, False], [2, 0.5])],
    )
    assert np.array_equal(bodies.matrix(rows, "FP32"), [[1, 1, 2], [np.nan, 0, 0.5]], equal_nan=True)
