"""An endpoint that speaks no protocol, over a real socket: what its mapping sends, reads and refuses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from explain.serving.clients import open_client
from explain.serving.protocol import RequestRefused, WrongAnswer
from tests.explain.test_protocols import AGES, MIXED, ask, recorder

REQUEST = {"applicants": {"$each_row": {"age": {"$cell": "age", "as": "text"}, "v": 2}}, "count": {"$count": True}}


def options(response: Any, request: Any = REQUEST) -> dict[str, Any]:
    return {"request": request, "response": response}


def test_rows_go_and_numbers_come_back_as_the_mapping_says() -> None:
    with recorder({"results": [{"score": 0.25}, {"score": 0.75}]}) as server:
        found = ask(server, "http_json", path="/score?v=1", options=options("$.results[*].score:number"))
        assert found.tolist() == [0.25, 0.75]
        assert server.path == "/score?v=1"
        assert json.loads(server.body) == {
            "applicants": [{"age": "36.0", "v": 2}, {"age": "57.0", "v": 2}],
            "count": 2,
        }


@pytest.mark.parametrize(
    ("response", "reply", "found"),
    [
        ("$[*]:numbers", [[0.1, 0.9], [0.2, 0.8]], [[0.1, 0.9], [0.2, 0.8]]),
        (["$.no[*]:number", "$.yes[*]:number"], {"no": [0.1, 0.2], "yes": [0.9, 0.8]}, [[0.1, 0.9], [0.2, 0.8]]),
        ("$.r[*].p:decimal", {"r": [{"p": "0.1"}, {"p": "2e-1"}]}, [0.1, 0.2]),
        ("$.r[*].p:number", {"r": [{"p": None}, {"p": 1}]}, [np.nan, 1.0]),
    ],
)
def test_types_of_paths(response: Any, reply: Any, found: Any) -> None:
    with recorder(reply) as server:
        assert np.array_equal(ask(server, "http_json", options=options(response)), np.array(found), equal_nan=True)


@pytest.mark.parametrize(
    ("response", "reply", "sentence"),
    [
        ("$.r[*].p:number", {"r": [{"p": 1}]}, "was sent 2 rows and answered 1"),
        (
            "$.r[*].p:number",
            {"r": [{"p": 1}, {"q": 1}]},
            r"there is no \.p at \$\.r\[1\]",
        ),
        ("$.r[*].p:number", {"r": [{"p": 1}, {"p": "1"}]}, "numeric outputs"),
        ("$.r[*].p:number", {"r": [{"p": [1, 2]}, {"p": [1, 2]}]}, "is not one number"),
        ("$.r[*].p:numbers", {"r": [{"p": 1}, {"p": 2}]}, "is not a list of numbers"),
        ("$.r[*].p:decimal", {"r": [{"p": "1"}, {"p": "1 %"}]}, "not a number written as text"),
        ("$.r[*].p:decimal", {"r": [{"p": 1}, {"p": "1"}]}, "not a number written as text"),
    ],
)
def test_what_is_not_there_is_said_with_the_place(response: str, reply: Any, sentence: str) -> None:
    with recorder(reply) as server, pytest.raises(WrongAnswer, match=sentence):
        ask(server, "http_json", options=options(response))


def test_an_endpoint_that_scores_one_row_a_request_is_asked_once_a_row() -> None:
    with recorder({"score": 0.5}) as server:
        client = open_client(
            "http_json",
            f"http://127.0.0.1:{server.server_address[1]}/",
            options("$.score:number", {"a": {"$one_row": {"$row": True}}}),
        )
        assert client.send(AGES, wire="application/json").tolist() == [0.5, 0.5]
        assert client.requests == 2
        assert client.largest_batch == 20
        assert json.loads(server.body) == {"a": {"age": 57.0, "hours": 12.5}}
        client.close()


def test_missing_values_and_types_of_cells() -> None:
    row = {
        "job": {"$cell": "job", "missing": "none"},
        "pay": {"$cell": "pay"},
        "paid": {"$cell": "paid", "as": "integer"},
    }
    with recorder([1, 2]) as server:
        ask(server, "http_json", MIXED, options=options("$[*]:number", {"$each_row": row}))
        assert json.loads(server.body) == [
            {"job": "clerk", "pay": 1.5, "paid": 1},
            {"job": "none", "pay": None, "paid": 0},
        ]


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"$each_row": {"$cell": "salary"}}, "asks for column 'salary'"),
        ({"$each_row": {"$cell": "job", "as": "number"}}, "column “job” of row 1 is no number"),
        ({"$each_row": {"$cell": "job", "as": "boolean"}}, "column “job” of row 1 is no boolean"),
        ({"$each_row": {"$cell": "pay", "as": "boolean"}}, "column “pay” of row 1 is no boolean"),
    ],
)
def test_rows_that_the_mapping_cannot_write_are_refused(request_: Any, sentence: str) -> None:
    with recorder([1, 2]) as server, pytest.raises(RequestRefused, match=sentence):
        ask(server, "http_json", MIXED, options=options("$[*]:number", request_))


def test_a_mapping_that_was_stored_wrong_is_refused_when_it_is_used() -> None:
    with pytest.raises(RequestRefused, match="exactly one"):
        open_client("http_json", "http://127.0.0.1:1", options("$.x:number"))
