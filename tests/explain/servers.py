"""A broken model server: a test double on a real socket, because a real one cannot be made to fail on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Row = dict[str, Any]
#: Called with the rows of a request and the number of requests before it; answers (status, body, headers).
Behaviour = Callable[[list[Row], int], tuple[int, bytes, dict[str, str]]]


def probability(row: Row) -> float:
    """What the double predicts: a smooth function of number and text columns, between 0 and 1."""
    size = float(row["income"] or 0.0) / 100 + 0.3 * (row["sector"] == "retail") - 0.002 * float(row["age"] or 0)
    return min(max(0.2 + 0.3 * size + 0.1 * size * (row["sector"] == "retail"), 0.01), 0.99)


def answer(rows: list[Row]) -> bytes:
    """The answer of a healthy server."""
    return json.dumps({"predictions": [[1 - probability(row), probability(row)] for row in rows]}).encode()


def healthy(rows: list[Row], _count: int) -> tuple[int, bytes, dict[str, str]]:
    return 200, answer(rows), {}


def rows_of(body: dict[str, Any]) -> list[Row]:
    """The rows of a request in any of MLflow's JSON forms."""
    if "dataframe_records" in body:
        return list(body["dataframe_records"])
    if "inputs" in body:
        columns = body["inputs"]
        return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    frame = body["dataframe_split"]
    return [dict(zip(frame["columns"], cells, strict=True)) for cells in frame["data"]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: else the second waits 40 ms for the first to be acknowledged

    def do_GET(self) -> None:
        self._send(200, b"3.17.2", {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        server: Any = self.server
        if self.headers["content-type"] != "application/json":
            self._send(415, b"only JSON here", {})
            return
        rows = rows_of(json.loads(body))
        with server.lock:
            count = server.count
            server.count += 1
            server.rows += len(rows)
        status, reply, headers = server.behaviour(rows, count)
        if status == 0:  # hang up without a word
            self.close_connection = True
            self.connection.close()
            return
        self._send(status, reply, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), "content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def serving(behaviour: Behaviour = healthy) -> Iterator[tuple[str, Any]]:
    """The address of a server that behaves so, and the server (``count`` requests, ``rows`` scored)."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_whoever_hung_up: None
    server.behaviour, server.count, server.rows, server.lock = behaviour, 0, 0, threading.Lock()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server
    finally:
        server.shutdown()
        server.server_close()


def slow(seconds: float, *, after: int = 0) -> Behaviour:
    """Takes so long for every answer after the first ones."""

    def behave(rows: list[Row], count: int) -> tuple[int, bytes, dict[str, str]]:
        time.sleep(seconds if count >= after else 0.0)
        return 200, answer(rows), {}

    return behave
