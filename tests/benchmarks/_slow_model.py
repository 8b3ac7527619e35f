"""A served model of plain arithmetic with 20 ms of latency: what a network and a gateway add to a quick model.

It speaks MLflow's protocol and is run by ``uvicorn --workers 2``: two processes, as an endpoint with two workers.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import orjson

LATENCY = 0.020


def predict(rows: Any) -> Any:
    """Probabilities of two classes, (rows, 2)."""
    values = np.array(rows, dtype=np.float64)
    score = np.tanh(values[:, ::2].sum(axis=1) / 1e5 + np.sin(values[:, 1::2]).sum(axis=1) / 10)
    high = 0.5 + 0.49 * score
    return np.ascontiguousarray(np.column_stack([1 - high, high]))


async def app(scope: Any, receive: Any, send: Any) -> None:
    """ASGI: POST /invocations with ``dataframe_split``."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await asyncio.sleep(LATENCY)
    if scope["method"] == "POST" and body:
        answer, status = {"predictions": predict(orjson.loads(body)["dataframe_split"]["data"])}, 200
    else:
        answer, status = {}, 200 if scope["method"] == "GET" else 400
    reply = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(reply)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reply})
