"""Whatever JSON a server answers, it is one output per row or a ``ServingError`` with a sentence: never another error.

The server is a double: real ones do not answer so. What is bent is an answer that each protocol's client reads.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explain.methods.codes import Column
from explain.serving.clients import CLIENTS, open_client
from explain.serving.connections import Answer
from explain.serving.protocol import ServingError, Table

ROWS = Table((Column("age", "number"), Column("hours", "number")), [np.array([36.0, 57.0]), np.array([40.0, 12.5])])
PROBA = [[0.895, 0.105], [0.168, 0.832]]
TENSOR = {"name": "output-0", "datatype": "FP64", "shape": [2, 2], "data": PROBA, "parameters": {"content_type": "np"}}
#: What the client of each protocol reads, and the options under which it does.
GOOD: dict[str, list[tuple[dict[str, Any], Any]]] = {
    **{
        name: [({}, {"predictions": PROBA}), ({"output": "yes"}, {"predictions": [{"yes": 0.1}, {"yes": 0.8}]})]
        for name in CLIENTS
    },
    "v2": [({"model": "m"}, {"model_version": "1", "outputs": [TENSOR]})],
    "seldon_v1": [
        ({}, {"meta": {"requestPath": {"m": "image:1"}}, "data": {"ndarray": PROBA}, "status": {"status": "SUCCESS"}}),
        ({"rows": "tensor"}, {"meta": {}, "data": {"tensor": {"shape": [2, 2], "values": [0.9, 0.1, 0.2, 0.8]}}}),
    ],
    "http_json": [
        (
            {"request": {"rows": {"$each_row": {"$cells": True}}}, "response": "$.out[*].score:number"},
            {"out": [{"score": 0.1}, {"score": 0.8}]},
        )
    ],
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
)
ANY = st.recursive(
    SCALARS, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3)
)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in ``node``."""
    yield path
    under = enumerate(node) if isinstance(node, list) else node.items() if isinstance(node, dict) else ()
    for key, each in under:
        yield from places(each, (*path, key))


def bent(answer: Any, path: tuple[Any, ...], value: Any) -> Any:
    """``answer`` with another value in one place."""
    if not path:
        return value
    made = deepcopy(answer)
    node = made
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return made


def read(protocol: str, options: dict[str, Any], body: bytes) -> Any:
    client = open_client(protocol, "http://127.0.0.1:9", options)
    client.transport.post = lambda *_args, **_kwargs: Answer(200, http.client.HTTPMessage(), body)  # type: ignore[method-assign]
    client.transport.get = lambda _url: None  # type: ignore[method-assign]
    try:
        return client.send(ROWS, wire=client.formats[0])
    finally:
        client.close()


CASES = [(protocol, options, answer) for protocol, each in GOOD.items() for options, answer in each]


@pytest.mark.parametrize(("protocol", "options", "answer"), CASES)
def test_the_answer_that_is_bent_below_is_read(protocol: str, options: dict[str, Any], answer: Any) -> None:
    assert len(read(protocol, options, orjson.dumps(answer))) == 2


@pytest.mark.parametrize(("protocol", "options", "answer"), CASES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_value_in_any_place_is_an_output_or_a_sentence(
    protocol: str, options: dict[str, Any], answer: Any, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(list(places(answer))))
    body = orjson.dumps(bent(answer, path, data.draw(ANY)))
    try:
        outputs = read(protocol, options, body)
    except ServingError as error:
        outputs = np.array([error.sentence, error.code])
    assert len(outputs) == 2
    assert outputs.dtype == np.float64 or all(outputs)
