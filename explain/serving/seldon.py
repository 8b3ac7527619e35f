"""Seldon V1: ``POST /api/v1.0/predictions`` with ``{"data": {"names": [...], "ndarray": [[...]]}}``.

https://docs.seldon.ai/seldon-core-1/reference/external-prediction
"""

from __future__ import annotations

from math import prod
from typing import Any

from explain.methods.codes import Floats
from explain.serving import answers, bodies
from explain.serving.base import HttpClient
from explain.serving.protocol import ServerFailed, Table, WrongAnswer


class SeldonClient(HttpClient):
    """Options: ``rows`` ("ndarray", or "tensor" for numbers only)."""

    path = "/api/v1.0/predictions"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._version = ""

    @property
    def model_version(self) -> str:
        return self._version

    def send(self, rows: Table, *, wire: str) -> Floats:
        data: dict[str, Any] = {"names": bodies.names(rows)}
        if self.option("rows") == "tensor":
            values = bodies.matrix(rows, "FP64")
            data["tensor"] = {"shape": list(values.shape), "values": values.ravel()}
        else:
            data["ndarray"] = bodies.lists(rows)
        body = self.post(bodies.dumps({"data": data}), rows, wire=wire).body
        answer = answers.parse(body, url=self.url)
        return self._read(answer, expected=len(rows))

    def version(self) -> str:
        return f"seldon, {self._version}" if self._version else ""

    def _read(self, answer: Any, *, expected: int) -> Floats:
        status = answer.get("status") if isinstance(answer, dict) else None
        if isinstance(status, dict) and status.get("status") in ("FAILURE", 1):
            why = str(status.get("info") or status.get("reason") or "nothing more")
            said = self.transport.without_secrets(why)[:300]
            raise ServerFailed(f"{self.url} answered a failure: {said}", code="endpoint.server_error")
        meta = answer.get("meta") if isinstance(answer, dict) else None
        images = meta.get("requestPath") if isinstance(meta, dict) else None
        if isinstance(images, dict):
            self._version = ", ".join(f"{name} {image}" for name, image in images.items())[:60]
        data = answers.under(answer, "data", url=self.url)
        if isinstance(data, dict) and isinstance(data.get("tensor"), dict):
            return self._tensor(data["tensor"], expected=expected)
        return answers.outputs(answers.under(data, "ndarray", url=self.url), expected=expected, url=self.url)

    def _tensor(self, tensor: dict[str, Any], *, expected: int) -> Floats:
        shape, values = tensor.get("shape"), tensor.get("values")
        if not isinstance(shape, list) or not shape or not isinstance(values, list) or {*map(type, shape)} != {int}:
            raise WrongAnswer(f"{self.url} answered a tensor without shape and values.", code="answer.no_predictions")
        answers.counted(shape[0], expected=expected, url=self.url)
        flat = answers.numbers(values, url=self.url)
        if flat.ndim != 1 or flat.size != prod(shape):
            raise answers.not_numbers(self.url)
        return flat.reshape(expected, -1) if len(shape) > 1 else flat
