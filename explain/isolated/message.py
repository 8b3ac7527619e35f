"""What goes over the pipe: eight bytes of length, a JSON header, and float64 arrays. No pickle in either direction."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from explain.methods.codes import Floats

_LENGTH = struct.Struct(">Q")


class Garbled(ValueError):  # noqa: N818
    """The bytes are no message."""


def pack(header: Mapping[str, Any], arrays: Mapping[str, Floats]) -> bytes:
    """One message."""
    flat = {name: np.ascontiguousarray(array, dtype="<f8") for name, array in arrays.items()}
    shapes = [[name, list(array.shape)] for name, array in flat.items()]
    head = json.dumps({**header, "arrays": shapes}).encode()
    return b"".join([_LENGTH.pack(len(head)), head, *(array.tobytes() for array in flat.values())])


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Floats]]:
    """The header and the arrays. Raises ``Garbled`` for anything but one whole message."""
    try:
        (length,) = _LENGTH.unpack_from(data)
        header = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        arrays, start = {}, _LENGTH.size + length
        for name, shape in header.pop("arrays"):
            if not all(type(size) is int and size >= 0 for size in shape):
                raise Garbled("an array has no shape")
            count = math.prod(shape)
            if count * 8 > len(data) - start:
                raise Garbled("an array is cut short")
            arrays[name] = np.frombuffer(data, dtype="<f8", count=count, offset=start).reshape(shape)
            start += count * 8
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Garbled(str(error)) from error
    if start != len(data):
        raise Garbled("bytes are left over")
    return header, arrays
