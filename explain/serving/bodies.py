"""From rows to the bytes of a request. Columns of floats never become Python objects: that is most of the speed."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from explain.methods.codes import Column
from explain.serving.protocol import RequestRefused, Table

#: Bytes of a request that common gateways still take.
LARGEST_BODY = 4_000_000
#: Datatypes of tensors (Open Inference Protocol) as numpy writes them, little-endian.
DATATYPES = {
    "BOOL": "|b1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}


def dumps(value: Any) -> bytes:
    """JSON of ``value``, arrays included; NaN and None are written as null.

    Raises ``RequestRefused`` for what JSON cannot hold: whole numbers above 64 bits, broken text.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise RequestRefused(f"A cell cannot be written as JSON: {error}.", code="rows.not_json") from error


def names(rows: Table) -> list[str]:
    """The names of the columns, in order."""
    return [column.name for column in rows.columns]


def lists(rows: Table) -> Any:
    """One list of cells per row, for ``dumps``."""
    if rows.cells and all(cells.dtype == np.float64 for cells in rows.cells):
        return np.ascontiguousarray(np.column_stack(list(rows.cells)))
    return lists_of_cells(rows)


def lists_of_cells(rows: Table) -> list[tuple[Any, ...]]:
    """One tuple of Python values per row."""
    return list(zip(*(cells.tolist() for cells in rows.cells), strict=True))


def objects(rows: Table) -> list[dict[str, Any]]:
    """One object of column and cell per row, for ``dumps``."""
    keys = names(rows)
    return [dict(zip(keys, row, strict=True)) for row in lists_of_cells(rows)]


def columns(rows: Table) -> dict[str, Any]:
    """One list of cells per column, for ``dumps``."""
    return {
        column.name: np.ascontiguousarray(cells) if cells.dtype == np.float64 else cells.tolist()
        for column, cells in zip(rows.columns, rows.cells, strict=True)
    }


def in_form(rows: Table, form: str) -> Any:
    """Rows as ``lists`` (default), ``named`` objects or ``columns``."""
    match form:
        case "named":
            return objects(rows)
        case "columns":
            return columns(rows)
    return lists(rows)


def matrix(rows: Table, datatype: str) -> npt.NDArray[Any]:
    """(rows, columns) of one datatype, C-contiguous. Raises ``RequestRefused`` that names the column."""
    wanted = np.dtype(DATATYPES[datatype])
    if all(cells.dtype == wanted for cells in rows.cells):
        return np.ascontiguousarray(np.column_stack(list(rows.cells)))
    made = np.empty((len(rows), len(rows.columns)), dtype=wanted)
    for j, (column, cells) in enumerate(zip(rows.columns, rows.cells, strict=True)):
        made[:, j] = vector(column, cells, datatype)
    return made


def vector(column: Column, cells: npt.NDArray[Any], datatype: str) -> npt.NDArray[Any]:
    """One column as an array of ``datatype``; a missing number is NaN. Raises ``RequestRefused`` that names it."""
    wanted = np.dtype(DATATYPES[datatype])
    if cells.dtype == wanted:
        return cells
    if column.kind == "string":
        raise RequestRefused(
            f"Column “{column.name}” is text and the tensor is {datatype}: send one tensor per column "
            "(option layout: columns), or the datatype BYTES.",
            code="rows.not_numbers",
        )
    if wanted.kind == "f":
        return np.array(cells.tolist(), dtype=np.float64).astype(wanted)
    plain = cells.tolist()
    for i, cell in enumerate(plain):
        if cell is None or cell != cell:
            raise RequestRefused(
                f"Column “{column.name}” is missing in row {i + 1} of a request, and {datatype} has no missing value: "
                "declare FP64.",
                code="rows.missing",
            )
        if isinstance(cell, float) and not cell.is_integer():
            raise RequestRefused(
                f"Column “{column.name}” is no {datatype} in row {i + 1} of a request.", code="rows.not_integers"
            )
    try:
        return np.array(plain, dtype=wanted)
    except OverflowError as error:
        raise RequestRefused(
            f"Column “{column.name}” holds a number that does not fit in {datatype}.", code="rows.overflow"
        ) from error


def _whole(cells: list[Any]) -> bool:
    """Whether no cell has a fraction."""
    if float not in set(map(type, cells)):
        return True
    return all(cell.is_integer() for cell in cells if isinstance(cell, float))


def parquet(rows: Table) -> bytes:
    """One Parquet file; None is null and NaN stays NaN."""
    import pyarrow as pa  # 60 ms, and only workers need it
    import pyarrow.parquet as pq

    types = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(), "string": pa.string()}
    arrays = []
    for column, cells in zip(rows.columns, rows.cells, strict=True):
        try:
            if column.kind == "integer" and not _whole(cells.tolist()):
                raise OverflowError  # pyarrow would cut 1.5 down to 1 and say nothing
            arrays.append(pa.array(cells, type=types[column.kind], from_pandas=False))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise RequestRefused(
                f"Column “{column.name}” has a cell that is no {column.kind}, or does not fit in Parquet.",
                code="rows.not_parquet",
            ) from error
    sink = io.BytesIO()
    text = [column.name for column in rows.columns if column.kind == "string"]
    # text repeats: a dictionary makes the body many times smaller; numbers would only be slower
    pq.write_table(
        pa.table(arrays, names=names(rows)),
        sink,
        compression="none",
        use_dictionary=text or False,
        write_statistics=False,
    )
    return sink.getvalue()
