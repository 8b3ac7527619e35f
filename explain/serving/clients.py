"""The one door to served models: a protocol's name in, a ``ServingClient`` out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from explain.serving.azureml import AzureClient
from explain.serving.base import HttpClient, Wiring
from explain.serving.mapping import MappingClient
from explain.serving.mlflow import MlflowClient
from explain.serving.protocol import ServingError
from explain.serving.seldon import SeldonClient
from explain.serving.transport import ATTEMPTS, TIMEOUT
from explain.serving.v1 import BentoClient, RayClient, V1Client, VertexClient
from explain.serving.v2 import V2Client

#: The client of each protocol of ``registry.models.Protocol``.
CLIENTS: dict[str, type[HttpClient]] = {
    "mlflow": MlflowClient,
    "sagemaker": MlflowClient,
    "v2": V2Client,
    "v1": V1Client,
    "seldon_v1": SeldonClient,
    "bentoml": BentoClient,
    "ray": RayClient,
    "vertex": VertexClient,
    "azureml": AzureClient,
    "http_json": MappingClient,
}


def open_client(
    protocol: str,
    url: str,
    options: Mapping[str, Any] | None = None,
    *,
    credential: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
    attempts: int = ATTEMPTS,
    sleep: Callable[[float], None] = time.sleep,
    stopped: Callable[[], None] = lambda: None,
) -> HttpClient:
    """A client that speaks ``protocol`` to ``url``; close it after use.

    ``options`` are the keys that the protocol's module documents. mlflow, sagemaker: ``format``, ``params``,
    ``answer_key``, ``output``. v2: ``model``, ``model_version``, ``layout``, ``content_type``, ``input``, ``datatype``,
    ``output``, ``nan``, ``parameters``, ``binary``. v1: ``model``, ``model_version``, and with bentoml, ray, vertex and
    azureml: ``body_key``, ``answer_key``, ``rows``, ``output``, ``extra``. seldon_v1: ``rows``. http_json: ``request``,
    ``response``. All: ``largest_batch``.
    ``credential``: headers that go with every request. ``timeout``: seconds for one whole answer. ``stopped`` raises to
    abandon work, and is asked twice a second while a request waits.

    Raises ``ServingError`` for a protocol that nobody speaks here, or for an address and options that name no model.
    """
    if protocol not in CLIENTS:
        raise ServingError(f"No client speaks {protocol}.", code="endpoint.protocol")
    wiring = Wiring(headers=credential or {}, timeout=timeout, attempts=attempts, sleep=sleep, stopped=stopped)
    return CLIENTS[protocol](url, options or {}, wiring)
