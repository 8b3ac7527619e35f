"""The Open Inference Protocol, version 2, over REST: KServe, Triton, MLServer, Seldon.

https://github.com/open-inference/open-inference-protocol and its binary tensor extension
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import orjson

from explain.methods.codes import Floats
from explain.serving import answers, tensors
from explain.serving.base import JSON, HttpClient, Wiring, sibling
from explain.serving.connections import Answer
from explain.serving.protocol import RequestRefused, Table, WrongAnswer

BINARY = "application/octet-stream"
_LENGTH = "Inference-Header-Content-Length"


class V2Client(HttpClient):
    """Options:

    ``model``, ``model_version``: make the path of an address without one.
    ``layout``: "tensor" (all columns in one tensor, the default) or "columns" (one tensor of shape [rows, 1] each).
    ``content_type``: sent as a parameter; "pd" makes MLServer build a data frame, and means ``layout`` "columns".
    ``input``: the tensor's name; without it the server's metadata are asked, then it is "input-0".
    ``datatype``: of the one tensor ("FP64"), or an object of column and datatype for "columns", where numbers are FP64,
    integers INT64, booleans BOOL and text BYTES unless it says otherwise.
    ``output``: the output to ask for and to read, for example "predict_proba"; without it there must be one only.
    ``nan``: how JSON writes a missing number: "null" (default, MLServer) or "NaN" (Triton).
    ``parameters``: an object that goes with every request.
    ``binary``: false when the server does not know binary tensors (MLServer); "only" when rows go so in production.
    """

    def __init__(self, url: str, options: Mapping[str, Any], wiring: Wiring) -> None:
        self._base = _base(url, options)
        super().__init__(f"{self._base}/infer", options, wiring)
        binary = options.get("binary", True)
        self.formats = (BINARY,) if binary == "only" else (JSON, BINARY) if binary else (JSON,)
        self._version = ""
        self._input = self.option("input")

    @property
    def model_version(self) -> str:
        return self._version

    def version(self) -> str:
        """The server's name and version, and the versions of the model that it holds."""
        server, model = self._said(sibling(self.url, "/v2")), self._said(self._base)
        words = [f"{server.get('name', '')} {server.get('version', '')}".strip()]
        held = model.get("versions") or ([self._version] if self._version else [])
        words.append(f"version {', '.join(map(str, held))}" if isinstance(held, list) and held else "")
        return ", ".join(word for word in words if word)[:120]

    def send(self, rows: Table, *, wire: str) -> Floats:
        made = self._tensors(rows)
        parameters = dict(self.options.get("parameters") or {})
        if content_type := self.option("content_type"):
            parameters["content_type"] = content_type
        output = self.option("output")
        if wire == BINARY:
            request = {"parameters": {**parameters, "binary_data_output": True}}
            if output:
                request = {
                    "parameters": parameters,
                    "outputs": [{"name": output, "parameters": {"binary_data": True}}],  # type: ignore[dict-item]
                }
            header, raw = tensors.binary(made, request)
            answer = self.post(header + raw, rows, wire=wire, headers={_LENGTH: str(len(header))})
        else:
            extra: dict[str, Any] = {"parameters": parameters} if parameters else {}
            if output:
                extra["outputs"] = [{"name": output}]
            answer = self.post(tensors.text(made, extra, nan=self.option("nan", "null")), rows, wire=wire)
        return self._read(answer, expected=len(rows))

    def _tensors(self, rows: Table) -> list[tensors.Tensor]:
        datatype = self.options.get("datatype")
        if self.option("content_type") == "pd" or self.option("layout") == "columns":
            chosen = datatype if isinstance(datatype, Mapping) else {}
            return [
                tensors.of_column(column, cells, str(chosen.get(column.name) or ""))
                for column, cells in zip(rows.columns, rows.cells, strict=True)
            ]
        return [tensors.of_table(rows, self._name(), datatype if isinstance(datatype, str) else "FP64")]

    def _name(self) -> str:
        if not self._input:
            inputs = self._said(self._base).get("inputs")
            named = [str(each.get("name") or "") for each in inputs or [] if isinstance(each, dict)]
            if len(named) > 1:
                raise RequestRefused(
                    f"{self.url} reads {len(named)} inputs ({', '.join(named[:8])}): set the option layout to columns.",
                    code="endpoint.inputs",
                )
            self._input = (named or [""])[0] or "input-0"
        return self._input

    def _said(self, url: str) -> dict[str, Any]:
        """What the server says at ``url``; nothing when it says nothing readable."""
        answer = self.transport.get(url)
        try:
            said = orjson.loads(answer.body) if answer is not None and answer.status == 200 else {}
        except orjson.JSONDecodeError:
            return {}
        return said if isinstance(said, dict) else {}

    def _read(self, answer: Answer, *, expected: int) -> Floats:
        header, raw = tensors.divide(answer, answer.headers.get(_LENGTH, ""), url=self.url)
        said = answers.parse(header, url=self.url)
        found = tensors.read(answers.under(said, "outputs", url=self.url), raw, url=self.url)
        self._version = str(said.get("model_version") or "")[:80] if isinstance(said, dict) else ""
        wanted = self.option("output")
        if wanted and wanted not in found:
            raise WrongAnswer(
                f"{self.url} answered without output “{wanted}”: it has {', '.join(found) or 'none'}.",
                code="answer.no_output",
            )
        if not wanted and len(found) != 1:
            raise WrongAnswer(
                f"{self.url} answered {len(found)} outputs ({', '.join(found)}): name one with the option output.",
                code="answer.ambiguous",
            )
        values = found[wanted] if wanted else next(iter(found.values()))
        if values.dtype == object:  # a datatype that holds no numbers
            raise answers.not_numbers(self.url)
        answers.counted(values.shape[0] if values.ndim else 0, expected=expected, url=self.url)
        if values.ndim > 2:
            if any(size != 1 for size in values.shape[2:]):
                raise answers.not_numbers(self.url)
            values = values.reshape(values.shape[:2])
        return np.ascontiguousarray(values, dtype=np.float64)


def _base(url: str, options: Mapping[str, Any]) -> str:
    """The address of the model: of ``url``, or made of the options when it has no path."""
    url = url.rstrip("/").removesuffix("/infer")
    if urlsplit(url).path.strip("/") not in ("", "v2"):
        return url
    model, version = str(options.get("model") or ""), str(options.get("model_version") or "")
    if not model:
        raise RequestRefused(
            f"{url} does not say which model: set the option model, or register …/v2/models/NAME/infer.",
            code="endpoint.model",
        )
    of_version = f"/versions/{quote(version, safe='')}" if version else ""
    return sibling(url, f"/v2/models/{quote(model, safe='')}{of_version}")
