"""The MLflow scoring protocol: ``POST /invocations`` as ``dataframe_split`` JSON or as Parquet.

https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/ (also the contract of SageMaker containers).
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import orjson

from explain.methods.codes import Floats
from explain.serving.protocol import Table, WrongAnswer
from explain.serving.transport import ATTEMPTS, Transport

JSON = "application/json"
PARQUET = "application/vnd.apache.parquet"


class MlflowClient:
    """Scores rows at an MLflow scoring server. Safe to share between threads."""

    formats: tuple[str, ...] = (JSON, PARQUET)

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30.0,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``url`` is the server's root or its ``/invocations``; ``timeout`` in seconds."""
        parts = urlsplit(url)
        path = parts.path.rstrip("/")
        root = path.removesuffix("/invocations")
        self._version_url = urlunsplit((parts.scheme, parts.netloc, f"{root}/version", "", ""))
        invocations = urlunsplit((parts.scheme, parts.netloc, f"{root}/invocations", "", ""))
        self._transport = Transport(invocations, timeout=timeout, attempts=attempts, sleep=sleep)

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return self._transport.requests

    def close(self) -> None:
        self._transport.close()

    def version(self) -> str:
        """The server's own version: MLflow says nothing about which model it holds, the canary rows do."""
        answer = self._transport.get(self._version_url)
        return f"mlflow {answer.text.strip()[:40]}" if answer is not None and answer.status_code == 200 else ""

    def send(self, rows: Table, *, wire: str) -> Floats:
        body = _parquet(rows) if wire == PARQUET else _json(rows)
        return _decode(self._transport.post(body, content_type=wire), expected=len(rows), url=self._transport.url)


def _json(rows: Table) -> bytes:
    """``dataframe_split``; NaN and None travel as ``null``."""
    names = [column.name for column in rows.columns]
    if rows.cells and all(cells.dtype == np.float64 for cells in rows.cells):
        data: Any = np.ascontiguousarray(np.column_stack(list(rows.cells)))
    else:
        data = list(zip(*(cells.tolist() for cells in rows.cells), strict=True))
    return orjson.dumps({"dataframe_split": {"columns": names, "data": data}}, option=orjson.OPT_SERIALIZE_NUMPY)


def _parquet(rows: Table) -> bytes:
    import pyarrow as pa  # 60 ms, and only workers need it
    import pyarrow.parquet as pq

    types = {"number": pa.float64(), "integer": pa.int64(), "boolean": pa.bool_(), "string": pa.string()}
    arrays = [
        pa.array(cells.tolist(), type=types[column.kind])
        for column, cells in zip(rows.columns, rows.cells, strict=True)
    ]
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays, names=[column.name for column in rows.columns]), sink, compression="none")
    return sink.getvalue()


def _decode(body: bytes, *, expected: int, url: str) -> Floats:
    """Outputs as floats. Raises ``WrongAnswer`` for anything that is not one output, or list of outputs, per row."""
    try:
        answer = orjson.loads(_without_bare_nan(body))
    except orjson.JSONDecodeError as error:
        raise WrongAnswer(f"{url} answered with something that is not JSON.", code="answer.not_json") from error
    predictions = answer.get("predictions") if isinstance(answer, dict) else answer
    if not isinstance(predictions, list):
        raise WrongAnswer(f"{url} answered without a list of predictions.", code="answer.no_predictions")
    if len(predictions) != expected:
        raise WrongAnswer(
            f"{url} was sent {expected} rows and answered {len(predictions)}: no prediction can be given to its row.",
            code="answer.row_count",
        )
    if predictions and isinstance(predictions[0], dict):
        predictions = [list(row.values()) if isinstance(row, dict) else row for row in predictions]
    return _numbers(predictions, url=url)


def _without_bare_nan(body: bytes) -> bytes:
    """MLflow writes NaN as the bare word, which is not JSON."""
    return body.replace(b"NaN", b"null").replace(b"-Infinity", b"null").replace(b"Infinity", b"null")


def _numbers(predictions: list[Any], *, url: str) -> Floats:
    try:
        outputs = np.array(
            [[_number(cell) for cell in row] if isinstance(row, list) else _number(row) for row in predictions],
            dtype=np.float64,
        )
    except ValueError as error:
        raise WrongAnswer(
            f"{url} did not answer with the same number of numeric outputs for every row "
            "(labels as text, or ragged rows). Serve probabilities or a number: for scikit-learn, "
            'log the model with pyfunc_predict_fn="predict_proba".',
            code="answer.shape",
        ) from error
    return outputs


def _number(cell: Any) -> float:
    if cell is None:
        return math.nan
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        raise ValueError(cell)
    return float(cell)
