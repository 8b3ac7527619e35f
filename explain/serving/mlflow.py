"""The MLflow scoring protocol: ``POST /invocations`` as JSON in three forms or as Parquet.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/ (also the contract of SageMaker containers).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from explain.methods.codes import Floats
from explain.serving import answers, bodies
from explain.serving.base import HttpClient, Wiring
from explain.serving.protocol import Table
from explain.serving.transport import ATTEMPTS

#: ``dataframe_split``, the form of the documentation.
JSON = "application/json"
RECORDS = "application/json; form=records"
INPUTS = "application/json; form=inputs"
PARQUET = "application/vnd.apache.parquet"
#: Values of the option ``format``.
FORMATS = {"split": JSON, "records": RECORDS, "inputs": INPUTS, "parquet": PARQUET}


class MlflowClient(HttpClient):
    """Scores rows at an MLflow scoring server.

    Options: ``format`` (how callers in production send rows: "split" by default, "records", "inputs", "parquet"),
    ``params`` (an object that goes with every JSON request), ``answer_key`` ("predictions"), ``output`` (the column to
    take when each prediction is an object).
    """

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any] | None = None,
        wiring: Wiring | None = None,
        *,
        timeout: float = 30.0,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``url`` is the server's root or its ``/invocations``; ``timeout`` in seconds."""
        super().__init__(url, options or {}, wiring or Wiring(timeout=timeout, attempts=attempts, sleep=sleep))
        production = FORMATS[self.option("format", "split")]
        others = tuple(wire for wire in (JSON, INPUTS, PARQUET) if wire != production)
        # «params» exist in JSON only
        self.formats = (production, *(wire for wire in others if wire != PARQUET or not self.options.get("params")))

    def address(self, url: str) -> str:
        parts = urlsplit(url)
        root = parts.path.rstrip("/").removesuffix("/invocations")
        return urlunsplit((parts.scheme, parts.netloc, f"{root}/invocations", parts.query, ""))

    def version(self) -> str:
        """The server's own version: MLflow says nothing about which model it holds, the canary rows do."""
        parts = urlsplit(self.url)
        path = f"{parts.path.removesuffix('/invocations')}/version"
        answer = self.transport.get(urlunsplit((parts.scheme, parts.netloc, path, "", "")))
        return f"mlflow {answer.text[:40]}" if answer is not None and answer.status == 200 else ""

    def send(self, rows: Table, *, wire: str) -> Floats:
        body = bodies.parquet(rows) if wire == PARQUET else self._json(rows, wire)
        return self.read(self.post(body, rows, wire=wire).body, expected=len(rows))

    def read(self, body: bytes, *, expected: int) -> Floats:
        """Outputs of an answer. Raises ``WrongAnswer``."""
        found = answers.under(answers.parse(body, url=self.url), self.option("answer_key", "predictions"), url=self.url)
        return answers.outputs(found, expected=expected, url=self.url, output=self.option("output"))

    def _json(self, rows: Table, wire: str) -> bytes:
        params = self.options.get("params")
        frame = {"params": params} if params else {}
        if wire == RECORDS:
            return bodies.dumps({"dataframe_records": bodies.objects(rows), **frame})
        if wire == INPUTS:
            return bodies.dumps({"inputs": bodies.columns(rows), **frame})
        return bodies.dumps({"dataframe_split": {"columns": bodies.names(rows), "data": bodies.lists(rows)}, **frame})
