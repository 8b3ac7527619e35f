"""Azure ML online endpoints and ``azmlinfsrv``: ``POST /score``.

https://learn.microsoft.com/azure/machine-learning/how-to-inference-server-http
"""

from __future__ import annotations

from typing import Any

import numpy as np

from explain.methods.codes import Floats
from explain.serving import answers, bodies
from explain.serving.base import HttpClient
from explain.serving.protocol import Table


class AzureClient(HttpClient):
    """Options: ``body_key`` ("data", the usual scoring script; "input_data", endpoints made from an MLflow model),
    ``rows`` of ``data`` ("lists", "named", "columns"), ``answer_key`` ("predictions"; a bare list is read as well),
    ``output`` (the key to take when each prediction is an object), ``extra`` (added to the body).
    """

    path = "/score"

    def send(self, rows: Table, *, wire: str) -> Floats:
        key = self.option("body_key", "data")
        content: Any = bodies.in_form(rows, self.option("rows", "lists"))
        if key == "input_data":
            content = {"columns": bodies.names(rows), "index": np.arange(len(rows)), "data": bodies.lists(rows)}
        body = bodies.dumps({**(self.options.get("extra") or {}), key: content})
        answer = answers.parse(self.post(body, rows, wire=wire).body, url=self.url)
        if isinstance(answer, str):  # a scoring script that answers json.dumps(...) is encoded a second time
            answer = answers.parse(answer.encode(), url=self.url)
        found = answers.under(answer, self.option("answer_key", "predictions"), url=self.url)
        return answers.outputs(found, expected=len(rows), url=self.url, output=self.option("output"))
