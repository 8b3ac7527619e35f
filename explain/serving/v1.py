"""``{"instances": [...]}``: KServe V1, which is TensorFlow Serving's ``:predict``, and whatever has that shape.

Vertex, Ray Serve and BentoML differ in the path and in the key of the body or of the answer only.
https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from explain.methods.codes import Floats
from explain.serving import answers, bodies
from explain.serving.base import HttpClient, Wiring, sibling
from explain.serving.protocol import Table


class InstancesClient(HttpClient):
    """Options: ``body_key`` ("instances"), ``answer_key`` ("predictions"; a bare list is read as well), ``rows``
    ("lists", "named" or "columns"), ``output`` (the key to take when each prediction is an object), ``extra`` (an
    object that is added to the body, for example ``{"signature_name": "proba"}``).
    """

    def send(self, rows: Table, *, wire: str) -> Floats:
        key, form = self.option("body_key", "instances"), self.option("rows", "lists")
        body = bodies.dumps({**(self.options.get("extra") or {}), key: bodies.in_form(rows, form)})
        answer = answers.parse(self.post(body, rows, wire=wire).body, url=self.url)
        found = answers.under(answer, self.option("answer_key", "predictions"), url=self.url)
        return answers.outputs(found, expected=len(rows), url=self.url, output=self.option("output"))


class V1Client(InstancesClient):
    """KServe V1 and TensorFlow Serving. ``model`` and ``model_version`` make the path of an address without one."""

    def __init__(self, url: str, options: Mapping[str, Any], wiring: Wiring) -> None:
        model, version = str(options.get("model") or ""), str(options.get("model_version") or "")
        if model and not urlsplit(url).path.strip("/"):
            of_version = f"/versions/{quote(version, safe='')}" if version else ""
            url = sibling(url, f"/v1/models/{quote(model, safe='')}{of_version}:predict")
        super().__init__(url, options, wiring)

    def version(self) -> str:
        """TensorFlow Serving lists the versions that it holds; KServe says ready or nothing."""
        answer = self.transport.get(self.url.removesuffix(":predict"))
        if answer is None or answer.status != 200:
            return ""
        try:
            said = orjson.loads(answer.body)
            held = [str(each["version"]) for each in said["model_version_status"] if each["state"] == "AVAILABLE"]
        except (ValueError, KeyError, TypeError):
            return ""
        return f"tensorflow serving, version {', '.join(held)}"[:80]


class RayClient(InstancesClient):
    """Ray Serve: the application's own route, ``/`` unless the address says another."""


class BentoClient(InstancesClient):
    """BentoML: ``/predict`` unless the address says another; ``body_key`` is the name of the method's parameter."""

    path = "/predict"


class VertexClient(InstancesClient):
    """Vertex AI: ``/predict`` of a prediction container, or the whole address of an endpoint's ``:predict``."""

    path = "/predict"
