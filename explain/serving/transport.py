"""One HTTP POST that ends in an answer or in a typed reason, with the retries that are safe for scoring.

Scoring reads and changes nothing, so that repeating a request is harmless. Addresses come from ``registry.Endpoint``
only, and a redirect is refused: it would send rows to a host that nobody registered.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import httpx

from explain.serving.protocol import RequestRefused, ServerFailed, TooLarge, Unreachable

#: Answers that mean «come back later».
_LATER = frozenset({408, 425, 429, 502, 503, 504})
#: How often one request is tried; the waits between are 0.25, 0.5, 1 and 2 s with jitter.
ATTEMPTS = 5
#: The longest wait that a server may ask for with Retry-After, in seconds.
LONGEST_WAIT = 30.0


class Transport:
    """Keep-alive connections to one endpoint."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30.0,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``timeout`` in seconds, for one answer. Proxies of the environment are not used."""
        self.url = url
        self._attempts = attempts
        self._sleep = sleep
        self._jitter = random.Random()  # noqa: S311 — spreads retries, decides nothing
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)),
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=4, keepalive_expiry=4.0),
        )
        self.requests = 0
        self._count = threading.Lock()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def get(self, url: str) -> httpx.Response | None:
        """One GET without retries; ``None`` when there is no answer."""
        try:
            return self._client.get(url)
        except httpx.HTTPError:
            return None

    def post(self, body: bytes, *, content_type: str) -> bytes:
        """The body of a 200 answer.

        Raises:
            Unreachable: no connection, or only 408, 429, 502-504 until the attempts were used up.
            TooLarge: 413, or no answer within the time-out.
            ServerFailed: any other 5xx; the caller decides whether to repeat or to divide.
            RequestRefused: any other 4xx, with the server's text; or a redirect.
        """
        fresh = True
        problem = "no attempt was made"
        for attempt in range(self._attempts):
            with self._count:
                self.requests += 1
            try:
                answer = self._client.post(self.url, content=body, headers={"content-type": content_type})
            except httpx.TimeoutException as error:
                if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
                    problem = "no connection within the time-out"
                    self._wait(attempt)
                    continue
                raise TooLarge(f"{self.url} did not answer within the time-out.", code="endpoint.timeout") from error
            except httpx.HTTPError as error:
                problem = str(error) or type(error).__name__
                # servers close idle connections after a few seconds: the first broken one costs no wait
                if not (fresh and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError)):
                    self._wait(attempt)
                fresh = False
                continue
            if answer.status_code == 200:
                return answer.content
            if answer.status_code not in _LATER:
                raise self._refusal(answer)
            problem = f"it answered {answer.status_code}"
            self._wait(attempt, answer.headers.get("retry-after", ""))
        raise Unreachable(
            f"{self.url} gave no usable answer in {self._attempts} attempts: {problem}. "
            "Check that the model is being served there, then request the explanation again.",
            code="endpoint.unreachable",
        )

    def _wait(self, attempt: int, asked: str = "") -> None:
        if attempt + 1 >= self._attempts:
            return
        seconds = 0.25 * 2**attempt * (0.5 + self._jitter.random())
        if asked.isascii() and asked.isdigit():
            seconds = max(seconds, min(float(asked[:6]), LONGEST_WAIT))
        self._sleep(seconds)

    def _refusal(self, answer: httpx.Response) -> Exception:
        status = answer.status_code
        said = " ".join(answer.text.split())[:300] or "nothing more"
        if status == 413:
            return TooLarge(f"{self.url} refuses a body of this size (413).", code="endpoint.too_large")
        if status >= 500:
            return ServerFailed(f"{self.url} answered {status}: {said}", code="endpoint.server_error")
        if 300 <= status < 400:
            return RequestRefused(
                f"{self.url} redirects elsewhere ({status}). Rows are sent only to the registered address: "
                "register the final one.",
                code="endpoint.redirect",
            )
        return RequestRefused(f"{self.url} refuses the rows ({status}): {said}", code="endpoint.refused")
