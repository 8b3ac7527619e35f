"""Tensors of the Open Inference Protocol, as JSON and as raw bytes."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from explain.methods.codes import Column
from explain.serving import answers, bodies
from explain.serving.connections import Answer
from explain.serving.protocol import RequestRefused, Table, WrongAnswer

#: The datatype of a column that is a tensor of its own.
_OF_KIND = {"number": "FP64", "integer": "INT64", "boolean": "BOOL", "string": "BYTES"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """``values``: an array of numbers, or for BYTES and for integers with missing ones a list of cells."""

    name: str
    datatype: str
    shape: tuple[int, int]
    values: npt.NDArray[Any] | list[Any]


def of_column(column: Column, cells: npt.NDArray[Any], datatype: str = "") -> Tensor:
    """One column as a tensor of shape [rows, 1]."""
    datatype = datatype or _OF_KIND[column.kind]
    shape = (len(cells), 1)
    if datatype == "BYTES":
        return Tensor(column.name, datatype, shape, [None if c is None or c != c else str(c) for c in cells.tolist()])
    plain = None if cells.dtype == np.float64 else cells.tolist()
    if plain is not None and None in plain and not datatype.startswith("FP"):
        return Tensor(column.name, datatype, shape, plain)
    return Tensor(column.name, datatype, shape, bodies.vector(column, cells, datatype))


def of_table(rows: Table, name: str, datatype: str) -> Tensor:
    """All columns as one tensor of shape [rows, columns]. Raises ``RequestRefused`` that names a column of text."""
    shape = (len(rows), len(rows.columns))
    if datatype == "BYTES":
        flat = [None if c is None or c != c else str(c) for row in bodies.lists_of_cells(rows) for c in row]
        return Tensor(name, datatype, shape, flat)
    return Tensor(name, datatype, shape, bodies.matrix(rows, datatype).ravel())


def text(made: Sequence[Tensor], extra: Mapping[str, Any], *, nan: str) -> bytes:
    """A request as JSON. ``nan``: the word for a missing number, ``null`` or ``NaN``."""
    parts = [b'{"inputs":[']
    for tensor in made:
        head = bodies.dumps({"name": tensor.name, "shape": tensor.shape, "datatype": tensor.datatype})
        data = bodies.dumps(tensor.values)
        if nan == "NaN" and tensor.datatype.startswith("FP"):
            data = data.replace(b"null", b"NaN")  # only numbers are in it
        parts += [head[:-1], b',"data":', data, b"},"]
    parts[-1] = b"}]"
    parts.append(b"," + bodies.dumps(dict(extra))[1:] if extra else b"}")
    return b"".join(parts)


def binary(made: Sequence[Tensor], extra: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The JSON header and the raw bytes behind it. Raises ``RequestRefused`` for what bytes cannot say."""
    raw = [_raw(tensor) for tensor in made]
    inputs = [
        {
            "name": tensor.name,
            "shape": tensor.shape,
            "datatype": tensor.datatype,
            "parameters": {"binary_data_size": len(data)},
        }
        for tensor, data in zip(made, raw, strict=True)
    ]
    return bodies.dumps({"inputs": inputs, **extra}), b"".join(raw)


def _raw(tensor: Tensor) -> bytes:
    if not isinstance(tensor.values, list):
        return tensor.values.tobytes()
    if None in tensor.values:
        raise RequestRefused(
            f"“{tensor.name}” has missing values, and raw {tensor.datatype} has none: send JSON.", code="rows.missing"
        )
    if tensor.datatype != "BYTES":
        return np.array(tensor.values, dtype=bodies.DATATYPES[tensor.datatype]).tobytes()
    encoded = [cell.encode() for cell in tensor.values]
    return b"".join(struct.pack("<I", len(cell)) + cell for cell in encoded)


def divide(answer: Answer, length: str, *, url: str) -> tuple[bytes, bytes]:
    """The JSON part and the raw part of an answer. Raises ``WrongAnswer`` for a length that cannot be."""
    if not length:
        return answer.body, b""
    if not (length.isascii() and length.isdigit() and int(length[:12]) <= len(answer.body)):
        raise WrongAnswer(f"{url} says that its header has {length[:20]} bytes.", code="answer.not_json")
    return answer.body[: int(length)], answer.body[int(length) :]


def read(outputs: Any, raw: bytes, *, url: str) -> dict[str, npt.NDArray[Any]]:
    """Name -> array for each output of an answer. Raises ``WrongAnswer``."""
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise WrongAnswer(f"{url} answered without a list of outputs.", code="answer.no_predictions")
    found: dict[str, npt.NDArray[Any]] = {}
    at = 0
    for each in outputs:
        name, size, shape = str(each.get("name") or ""), _size(each.get("parameters")), each.get("shape")
        if not isinstance(shape, list) or not shape or not all(type(n) is int and n >= 0 for n in shape):
            raise WrongAnswer(f"{url} answered output “{name}” without a shape.", code="answer.shape")
        if str(each.get("datatype")) not in bodies.DATATYPES:
            at += size or 0
            found[name] = np.empty(0, dtype=object)  # the shape is what the server says
            continue
        if size is not None:
            flat = _from_bytes(raw[at : at + size], str(each["datatype"]), name, url)
            at += size
        else:
            flat = answers.numbers(_flat(each.get("data"), name, url), url=url)
            if each["datatype"] == "FP32":  # written short or long, it is the same 32-bit number as in raw bytes
                flat = flat.astype(np.float32)
        if flat.size != prod(shape):
            raise WrongAnswer(
                f"{url} answered output “{name}” of shape {shape} with {flat.size} values.", code="answer.shape"
            )
        found[name] = flat.reshape(shape)
    return found


def _size(parameters: Any) -> int | None:
    """How many of the raw bytes are this output's; None when its numbers are in the JSON."""
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    return size if type(size) is int and size >= 0 else None


def _from_bytes(raw: bytes, datatype: str, name: str, url: str) -> npt.NDArray[Any]:
    wanted = np.dtype(bodies.DATATYPES[datatype])
    if len(raw) % wanted.itemsize:
        raise WrongAnswer(f"{url} cut output “{name}” short.", code="answer.shape")
    return np.frombuffer(raw, dtype=wanted)


def _flat(data: Any, name: str, url: str) -> list[Any]:
    if not isinstance(data, list):
        raise WrongAnswer(f"{url} answered output “{name}” without data.", code="answer.no_predictions")
    flat: list[Any] = data
    while flat and isinstance(flat[0], list):  # the protocol allows nested data
        if not all(isinstance(each, list) for each in flat):
            raise answers.not_numbers(url)
        flat = [cell for each in flat for cell in each]
    return flat
