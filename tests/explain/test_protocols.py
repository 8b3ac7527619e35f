"""What each protocol sends and reads, byte for byte as real servers exchange it (design, section 3.1).

The server is a double that records one request and gives one answer: real servers are asked in ``tests/explain/real``.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from explain.methods.codes import Column, Floats
from explain.serving.clients import open_client
from explain.serving.protocol import RequestRefused, ServerFailed, ServingError, Table, WrongAnswer
from explain.serving.v2 import BINARY

JSON = "application/json"
PROBA = np.array([[0.895, 0.105], [0.168, 0.832]])
AGES = Table((Column("age", "number"), Column("hours", "number")), [np.array([36.0, 57.0]), np.array([40.0, 12.5])])
MIXED = Table(
    (Column("age", "integer"), Column("job", "string"), Column("pay", "number"), Column("paid", "boolean")),
    [
        np.array([36, 57], dtype=object),
        np.array(["clerk", None], dtype=object),
        np.array([1.5, np.nan]),
        np.array([True, False], dtype=object),
    ],
)


class Recorder(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        server: Any = self.server
        self._send(200 if self.path in server.says else 404, json.dumps(server.says.get(self.path, {})).encode(), {})

    def do_POST(self) -> None:
        server: Any = self.server
        server.path, server.headers = self.path, dict(self.headers)
        server.body = self.rfile.read(int(self.headers["content-length"]))
        self._send(*server.reply)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def recorder(reply: Any, headers: dict[str, str] | None = None, says: dict[str, Any] | None = None) -> Iterator[Any]:
    """A server that answers ``reply`` to whatever is posted, and ``says[path]`` to a GET."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.daemon_threads = True
    server.reply = (200, reply if isinstance(reply, bytes) else json.dumps(reply).encode(), headers or {})
    server.says = says or {}
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def ask(
    server: Any,
    protocol: str,
    rows: Table = AGES,
    *,
    path: str = "",
    wire: str = JSON,
    options: dict[str, Any] | None = None,
) -> Floats:
    client = open_client(
        protocol, f"http://127.0.0.1:{server.server_address[1]}{path}", options or {}, credential={"x-key": "s"}
    )
    try:
        return client.send(rows, wire=wire)
    finally:
        client.close()


LISTS = [[36.0, 40.0], [57.0, 12.5]]
NAMED = [{"age": 36.0, "hours": 40.0}, {"age": 57.0, "hours": 12.5}]
SPLIT = {"dataframe_split": {"columns": ["age", "hours"], "data": LISTS}}
PREDICTIONS = {"predictions": PROBA.tolist()}
BARE = PROBA.tolist()


@pytest.mark.parametrize(
    ("protocol", "options", "path", "body", "reply"),
    [
        ("mlflow", {}, "/invocations", SPLIT, PREDICTIONS),
        ("mlflow", {"format": "records"}, "/invocations", {"dataframe_records": NAMED}, PREDICTIONS),
        (
            "mlflow",
            {"format": "inputs", "params": {"k": 1}},
            "/invocations",
            {"inputs": {"age": [36.0, 57.0], "hours": [40.0, 12.5]}, "params": {"k": 1}},
            PREDICTIONS,
        ),
        (
            "sagemaker",
            {},
            "/invocations",
            SPLIT,
            PREDICTIONS,
        ),
        ("v1", {"model": "adult"}, "/v1/models/adult:predict", {"instances": LISTS}, PREDICTIONS),
        (
            "v1",
            {"model": "adult", "model_version": "2", "rows": "named", "extra": {"signature_name": "p"}},
            "/v1/models/adult/versions/2:predict",
            {"instances": NAMED, "signature_name": "p"},
            PREDICTIONS,
        ),
        ("bentoml", {}, "/predict", {"instances": LISTS}, BARE),
        ("bentoml", {"body_key": "frame", "rows": "named"}, "/predict", {"frame": NAMED}, BARE),
        ("ray", {}, "/", {"instances": LISTS}, PREDICTIONS),
        ("vertex", {}, "/predict", {"instances": LISTS}, PREDICTIONS),
        ("azureml", {}, "/score", {"data": LISTS}, BARE),
        ("azureml", {}, "/score", {"data": LISTS}, json.dumps(BARE)),
        (
            "azureml",
            {"body_key": "input_data"},
            "/score",
            {"input_data": {"columns": ["age", "hours"], "index": [0, 1], "data": LISTS}},
            BARE,
        ),
        (
            "seldon_v1",
            {},
            "/api/v1.0/predictions",
            {"data": {"names": ["age", "hours"], "ndarray": LISTS}},
            {"data": {"names": ["t:0", "t:1"], "ndarray": BARE}, "meta": {}},
        ),
        (
            "seldon_v1",
            {"rows": "tensor"},
            "/api/v1.0/predictions",
            {"data": {"names": ["age", "hours"], "tensor": {"shape": [2, 2], "values": [36.0, 40.0, 57.0, 12.5]}}},
            {"data": {"names": [], "tensor": {"shape": [2, 2], "values": PROBA.ravel().tolist()}}},
        ),
    ],
)
def test_what_is_sent_and_read(protocol: str, options: dict[str, Any], path: str, body: Any, reply: Any) -> None:
    wires = {"inputs": "application/json; form=inputs", "records": "application/json; form=records"}
    with recorder(reply) as server:
        found = ask(server, protocol, options=options, wire=wires.get(str(options.get("format")), JSON))
        assert np.array_equal(found, PROBA)
        assert server.path == path
        assert json.loads(server.body) == body
        assert server.headers["content-type"] == JSON
        assert server.headers["x-key"] == "s"


V2_REPLY = {
    "model_name": "adult",
    "model_version": "v1",
    "outputs": [{"name": "proba", "shape": [2, 2], "datatype": "FP64", "data": PROBA.ravel().tolist()}],
}


def test_v2_sends_one_tensor_and_asks_for_one_output() -> None:
    options = {"model": "adult", "input": "x", "output": "proba"}
    with recorder(V2_REPLY) as server:
        assert np.array_equal(ask(server, "v2", options=options), PROBA)
        assert server.path == "/v2/models/adult/infer"
        assert json.loads(server.body) == {
            "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [36.0, 40.0, 57.0, 12.5]}],
            "outputs": [{"name": "proba"}],
        }


def test_v2_sends_a_data_frame_one_tensor_a_column_and_missing_values_as_null() -> None:
    options = {"model": "adult", "content_type": "pd"}
    with recorder(V2_REPLY) as server:
        ask(server, "v2", MIXED, options=options)
        assert json.loads(server.body) == {
            "parameters": {"content_type": "pd"},
            "inputs": [
                {"name": "age", "shape": [2, 1], "datatype": "INT64", "data": [36, 57]},
                {"name": "job", "shape": [2, 1], "datatype": "BYTES", "data": ["clerk", None]},
                {"name": "pay", "shape": [2, 1], "datatype": "FP64", "data": [1.5, None]},
                {"name": "paid", "shape": [2, 1], "datatype": "BOOL", "data": [True, False]},
            ],
        }
        ask(server, "v2", MIXED, options={**options, "nan": "NaN", "datatype": {"age": "FP32"}})
        assert b'"data":[1.5,NaN]' in server.body
        assert b'"datatype":"FP32","data":[36.0,57.0]' in server.body
        assert b'["clerk",null]' in server.body


def test_v2_binary_is_a_header_and_raw_bytes_both_ways() -> None:
    raw = PROBA.astype("<f4").tobytes()
    header = json.dumps(
        {
            "model_name": "adult",
            "model_version": "1",
            "outputs": [
                {"name": "proba", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": len(raw)}}
            ],
        }
    ).encode()
    with recorder(header + raw, {"Inference-Header-Content-Length": str(len(header))}) as server:
        found = ask(server, "v2", path="/v2/models/adult/infer", wire=BINARY, options={"input": "x"})
        assert np.array_equal(found, PROBA.astype(np.float32).astype(np.float64))
        length = int(server.headers["Inference-Header-Content-Length"])
        assert json.loads(server.body[:length]) == {
            "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP64", "parameters": {"binary_data_size": 32}}],
            "parameters": {"binary_data_output": True},
        }
        assert np.frombuffer(server.body[length:]).tolist() == [36.0, 40.0, 57.0, 12.5]
        assert server.headers["content-type"] == "application/octet-stream"


def test_v2_binary_text_has_its_length_before_it_and_no_missing_value() -> None:
    rows = Table((Column("job", "string"),), [np.array(["é", "b"], dtype=object)])
    with recorder(V2_REPLY) as server:
        ask(server, "v2", rows, wire=BINARY, options={"model": "a", "layout": "columns"})
        assert server.body.endswith(struct.pack("<I", 2) + "é".encode() + struct.pack("<I", 1) + b"b")
        with pytest.raises(RequestRefused, match="“job” has missing values"):
            ask(server, "v2", MIXED, wire=BINARY, options={"model": "a", "layout": "columns"})


def test_v2_asks_the_metadata_for_the_name_of_the_input_and_for_the_version() -> None:
    says = {
        "/v2": {"name": "mlserver", "version": "1.7.1"},
        "/v2/models/adult": {"name": "adult", "versions": ["v1"], "inputs": [{"name": "features"}]},
    }
    with recorder(V2_REPLY, says=says) as server:
        client = open_client("v2", f"http://127.0.0.1:{server.server_address[1]}/v2/models/adult/infer", {})
        client.send(AGES, wire=JSON)
        assert json.loads(server.body)["inputs"][0]["name"] == "features"
        assert client.version() == "mlserver 1.7.1, version v1"
        assert client.model_version == "v1"
        client.close()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"shape": [1, 2], "data": [0.5, 0.5]}, "answer.row_count"),
        ({"shape": [2, 2], "data": [0.5, 0.5]}, "answer.shape"),
        ({"shape": [2], "data": ["good", "bad"]}, "answer.shape"),
        ({"shape": [2], "data": [True, False]}, "answer.shape"),
        ({"shape": "many"}, "answer.shape"),
        ({"shape": [2, 1], "data": None}, "answer.no_predictions"),
        ({"shape": [2, 1], "datatype": "BYTES", "data": ["good", "bad"]}, "answer.shape"),
        ({"name": "other"}, "answer.no_output"),
        ({"shape": [2, 2], "parameters": {"binary_data_size": 12}}, "answer.shape"),
    ],
)
def test_v2_answers_that_are_not_one_output_per_row_are_refused(change: dict[str, Any], code: str) -> None:
    reply = {**V2_REPLY, "outputs": [{**V2_REPLY["outputs"][0], **change}]}  # type: ignore[dict-item]
    with recorder(reply) as server, pytest.raises(WrongAnswer) as caught:
        ask(server, "v2", options={"model": "adult", "input": "x", "output": "proba"})
    assert caught.value.code == code


def test_v2_says_which_outputs_there_are_when_none_was_chosen() -> None:
    both = {"outputs": [V2_REPLY["outputs"][0], {**V2_REPLY["outputs"][0], "name": "label"}]}  # type: ignore[dict-item]
    with recorder(both) as server, pytest.raises(WrongAnswer, match="proba, label"):
        ask(server, "v2", options={"model": "adult", "input": "x"})


def test_text_in_a_tensor_of_numbers_is_refused_with_the_column() -> None:
    with recorder(V2_REPLY) as server, pytest.raises(RequestRefused, match="Column “job” is text"):
        ask(server, "v2", MIXED, options={"model": "adult", "input": "x"})


def test_a_v2_address_without_a_model_is_refused() -> None:
    with pytest.raises(RequestRefused, match="option model"):
        open_client("v2", "http://127.0.0.1:1/", {})


def test_a_failure_of_seldon_inside_a_200_is_a_failure() -> None:
    reply = {"status": {"status": "FAILURE", "info": "no such node"}}
    with recorder(reply) as server, pytest.raises(ServerFailed, match="no such node"):
        ask(server, "seldon_v1")


def test_objects_of_outputs_are_read_by_key_and_never_in_another_order() -> None:
    rows = [{"proba": [0.1, 0.9], "label": 1}, {"label": 0, "proba": [0.8, 0.2]}]
    with recorder({"predictions": rows}) as server:
        found = ask(server, "v1", options={"model": "a", "output": "proba"})
        assert found.tolist() == [[0.1, 0.9], [0.8, 0.2]]
        with pytest.raises(WrongAnswer, match="without “odds”: the first has “proba”, “label”"):
            ask(server, "v1", options={"model": "a", "output": "odds"})
    with recorder({"predictions": [{"no": 0.1, "yes": 0.9}, {"yes": 0.2, "no": 0.8}]}) as server:
        assert ask(server, "v1", options={"model": "a"}).tolist() == [[0.1, 0.9], [0.8, 0.2]]
    for other in ({"yes": 0.2}, {"yes": 0.2, "no": 0.8, "maybe": 0.0}, [0.8, 0.2], 0.2):
        with recorder({"predictions": [{"no": 0.1, "yes": 0.9}, other]}) as server, pytest.raises(WrongAnswer):
            ask(server, "v1", options={"model": "a"})


@pytest.mark.parametrize("cell", ['"0.5"', "true", '"NaN"', "[0.1]", "{}"])
def test_what_only_looks_like_a_number_is_none(cell: str) -> None:
    with recorder(f'{{"predictions": [0.5, {cell}]}}'.encode()) as server, pytest.raises(WrongAnswer) as caught:
        ask(server, "ray")
    assert caught.value.code == "answer.shape"


def test_a_protocol_that_nobody_speaks_is_said() -> None:
    with pytest.raises(ServingError, match="No client speaks carrier pigeon"):
        open_client("carrier pigeon", "http://127.0.0.1:1", {})
