"""What the journey of an explanation needs: a credit model that MLflow really serves, and a way in front of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

FLAGS = ("employed", "late_before", "other_loans", "owns_home")
_WEIGHTS = (2.0, -1.6, -1.1, 0.7)


def applicants(count: int, seed: int) -> pd.DataFrame:
    """One number and four words; a local linear model fits what a credit model makes of them."""
    rng = np.random.default_rng(seed)
    words = {name: rng.choice(["no", "yes"], count) for name in FLAGS}
    return pd.DataFrame({"income": np.round(rng.normal(50, 20, count), 2), **words})


def records(count: int, seed: int) -> list[dict[str, Any]]:
    """The same as rows of the API."""
    return [{str(name): value for name, value in row.items()} for row in applicants(count, seed).to_dict("records")]


def trained(seed: int = 3) -> Pipeline:
    """A pipeline that answers the probability of a good loan; another seed is another model."""
    rows = applicants(700, seed=1)
    flags = sum(weight * ((rows[name] == "yes") - 0.5) for name, weight in zip(FLAGS, _WEIGHTS, strict=True))
    chance = 1 / (1 + np.exp(-(0.004 * (rows["income"] - 50) + flags)))
    good = (np.random.default_rng(seed).random(len(rows)) < chance).astype(int)
    words = OneHotEncoder(drop="first")
    columns = ColumnTransformer([("numbers", "passthrough", ["income"]), ("words", words, list(FLAGS))])
    return Pipeline([("columns", columns), ("model", LogisticRegression(max_iter=2000))]).fit(rows, good)


class Front(ThreadingHTTPServer):
    """Sends every request on to ``target`` and its answer back, as a load balancer does."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.target = target
        #: Requests so far.
        self.count = 0


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Front

    def do_GET(self) -> None:
        self._forward(b"")

    def do_POST(self) -> None:
        self._forward(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _forward(self, body: bytes) -> None:
        self.server.count += 1
        behind = HTTPConnection(str(urlsplit(self.server.target).netloc), timeout=60)
        try:
            sent = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
            behind.request(self.command, self.path, body or None, sent)
            answer = behind.getresponse()
            content = answer.read()
        finally:
            behind.close()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: failures are seen by the tests."""


@contextmanager
def before(target: str) -> Iterator[tuple[str, Front]]:
    """The address of a front of ``target``, and the front, whose target may be changed."""
    front = Front(target)
    thread = threading.Thread(target=front.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{front.server_port}", front
    finally:
        front.shutdown()
        front.server_close()
