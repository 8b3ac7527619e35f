"""From a registered endpoint to a client and its limits: address, options, time-out and credential of the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from explain.serving.base import HttpClient
from explain.serving.clients import open_client
from explain.serving.limits import Limiter, for_endpoint, go_on
from registry.environments import allowed_address
from registry.models import Endpoint
from registry.serving import credentials


@dataclass(frozen=True, slots=True)
class Connected:
    """What a job speaks to. Both are safe to share between threads."""

    client: HttpClient
    limiter: Limiter


@contextmanager
def connected(endpoint: Endpoint, *, stopped: Callable[[], None] = go_on) -> Iterator[Connected]:
    """The client and the limits of ``endpoint``, closed at the end.

    Raises ``BadInput`` when its address is no longer allowed or its credential is not there, ``ServingError`` when its
    options name no model.
    """
    client = open_client(
        endpoint.protocol,
        allowed_address(endpoint.url),
        endpoint.options,
        credential=credentials.headers(endpoint.credential),
        timeout=float(endpoint.timeout),
        stopped=stopped,
    )
    limiter = for_endpoint(endpoint.pk, endpoint.concurrency, endpoint.rows_per_second)
    try:
        yield Connected(client, limiter)
    finally:
        client.close()
        limiter.close()
