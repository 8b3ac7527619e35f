"""What the clients of all protocols share: an address, options, a transport."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from explain.methods.codes import Floats
from explain.serving.bodies import LARGEST_BODY
from explain.serving.connections import Answer
from explain.serving.protocol import Table, TooLarge
from explain.serving.transport import ATTEMPTS, TIMEOUT, Transport

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Wiring:
    """How requests are sent. ``headers``: credentials. ``stopped`` raises to abandon work."""

    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = TIMEOUT
    attempts: int = ATTEMPTS
    sleep: Callable[[float], None] = time.sleep
    stopped: Callable[[], None] = lambda: None


class HttpClient:
    """A ``ServingClient`` over HTTP. Safe to share between threads."""

    formats: tuple[str, ...] = (JSON,)
    #: The path of an address that was registered without one.
    path: ClassVar[str] = ""

    def __init__(self, url: str, options: Mapping[str, Any], wiring: Wiring) -> None:
        self.options = options
        #: Wire format -> bytes that a row took in the largest request so far.
        self.bytes_per_row: dict[str, float] = {}
        self._largest_sent: dict[str, int] = {}
        self.transport = self._transport(url, wiring)

    @property
    def url(self) -> str:
        return self.transport.url

    @property
    def requests(self) -> int:
        """HTTP requests sent so far."""
        return self.transport.requests

    @property
    def largest_batch(self) -> int | None:
        """Rows of one request at most, when the endpoint says so."""
        return self.options.get("largest_batch")

    @property
    def model_version(self) -> str:
        """Which version of the model gave the last answer, as far as answers say so."""
        return ""

    def watch(self, stopped: Callable[[], None]) -> None:
        """Ask ``stopped``, which raises to abandon work, while waiting for an answer."""
        self.transport.stopped = stopped

    def close(self) -> None:
        self.transport.close()

    def version(self) -> str:
        return ""

    def send(self, rows: Table, *, wire: str) -> Floats:
        raise NotImplementedError

    def post(self, body: bytes, rows: Table, *, wire: str = JSON, headers: Mapping[str, str] | None = None) -> Answer:
        """Send the body that holds ``rows``. Raises ``TooLarge`` before sending what gateways refuse."""
        count = len(rows)
        if count >= self._largest_sent.get(wire, 0):  # small bodies are mostly frame
            self._largest_sent[wire] = count
            self.bytes_per_row[wire] = len(body) / max(count, 1)
        if len(body) > LARGEST_BODY and count > 1:
            raise TooLarge(f"{count} rows take {len(body)} bytes.", code="body.too_large")
        return self.transport.post(body, content_type=wire.partition(";")[0], headers=headers)

    def _transport(self, url: str, wiring: Wiring) -> Transport:
        return Transport(
            self.address(url),
            headers=wiring.headers,
            timeout=wiring.timeout,
            attempts=wiring.attempts,
            sleep=wiring.sleep,
            stopped=wiring.stopped,
        )

    def address(self, url: str) -> str:
        """Where rows go: ``url``, with the protocol's own path when it has none."""
        return url if urlsplit(url).path.strip("/") else sibling(url, self.path or "/")

    def option(self, key: str, default: str = "") -> str:
        """A text option, ``default`` when it is not set."""
        return str(self.options.get(key) or default)


def sibling(url: str, path: str) -> str:
    """``path`` at the host of ``url``."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
