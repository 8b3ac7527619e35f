"""One HTTP POST that ends in an answer or in a typed reason, with the retries that are safe for scoring.

Scoring reads and changes nothing, so that repeating a request is harmless. Addresses come from ``registry.Endpoint``
only, and a redirect is refused: it would send rows to a host that nobody registered. Proxies of the environment are not
used.
"""

from __future__ import annotations

import http.client
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from explain.serving.connections import POLL, Answer, AnswerTooLarge, Connections, Deadline, NoConnection
from explain.serving.protocol import RequestRefused, ServerFailed, ServingError, TooLarge, Unreachable, WrongAnswer

#: Answers that mean «come back later».
_LATER = frozenset({408, 425, 429, 502, 503, 504})
#: How often one request is tried; the waits between are 0.25, 0.5, 1 and 2 s with jitter.
ATTEMPTS = 5
#: The longest wait that a server may ask for with Retry-After, in seconds.
LONGEST_WAIT = 30.0
#: Seconds for one answer, and the largest answer in bytes: 20,000 rows of 100 outputs fit.
TIMEOUT, LARGEST_ANSWER = 30.0, 64_000_000
#: How the end of a connection looks under TLS: no fault of trust.
HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
#: Seconds for what a server may say of itself: no job waits long for that.
ASIDE = 3.0


class Transport:
    """Requests to one endpoint. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        largest_answer: int = LARGEST_ANSWER,
        sleep: Callable[[float], None] = time.sleep,
        stopped: Callable[[], None] = lambda: None,
    ) -> None:
        """``headers`` go with every request (credentials). ``timeout`` in seconds, for one whole answer.

        ``stopped`` raises to abandon the work; it is asked twice a second while this waits for whatever reason.
        """
        self.url = url
        self.stopped = stopped
        self.requests = 0
        self._headers = dict(headers or {})
        self._timeout = timeout
        self._attempts = attempts
        self._sleep = sleep
        self._jitter = random.Random()  # noqa: S311 — spreads retries, decides nothing
        self._count = threading.Lock()
        self._connections = Connections(urlsplit(url), largest=largest_answer)
        self._target = target_of(url)

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    def get(self, url: str) -> Answer | None:
        """One GET at the same host without retries; ``None`` when there is no answer."""
        try:
            return self._exchange("GET", target_of(url), None, {}, timeout=min(self._timeout, ASIDE))
        except (OSError, http.client.HTTPException, AnswerTooLarge):
            return None

    def post(self, body: bytes, *, content_type: str, headers: Mapping[str, str] | None = None) -> Answer:
        """A 200 answer.

        Raises:
            Unreachable: no connection, no trust (TLS), or only 408, 429, 502-504 until the attempts were used up.
            TooLarge: 413, or no whole answer within the time-out.
            ServerFailed: any other 5xx; the caller decides whether to repeat or to divide.
            RequestRefused: any other 4xx, with the server's text; or a redirect.
            WrongAnswer: an answer larger than any answer to rows can be.
        """
        sent = {"content-type": content_type, **(headers or {})}
        problem = "no attempt was made"
        for attempt in range(self._attempts):
            asked = ""
            try:
                answer = self._exchange("POST", self._target, body, sent, timeout=self._timeout)
            except HUNG_UP as error:
                problem = _broken(error)
            except ssl.SSLError as error:
                raise self._no_trust(error) from error
            except NoConnection as error:
                problem = str(error)
            except TimeoutError as error:
                raise TooLarge(
                    f"{self.url} gave no whole answer within {self._timeout:g} s.", code="endpoint.timeout"
                ) from error
            except AnswerTooLarge as error:
                raise WrongAnswer(
                    f"{self.url} answers more bytes than any answer to these rows can have.", code="answer.too_large"
                ) from error
            except (OSError, http.client.HTTPException, ValueError) as error:  # http.client reads lengths with int()
                problem = _broken(error)
            else:
                if answer.status == 200:
                    return answer
                if answer.status not in _LATER:
                    raise self._refusal(answer)
                problem = f"it answered {answer.status}"
                asked = answer.headers.get("retry-after", "")
            self._wait(attempt, asked)
        raise Unreachable(
            f"{self.url} gave no usable answer in {self._attempts} attempts: {problem}. "
            "Check that the model is being served there, then request the explanation again.",
            code="endpoint.unreachable",
        )

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str], *, timeout: float
    ) -> Answer:
        """One request; a connection that was kept and is dead by now is replaced once, which costs no attempt."""
        while True:
            self.stopped()
            connection, used = self._connections.take(timeout=timeout)
            with self._count:
                self.requests += 1
            try:
                return self._connections.exchange(
                    connection,
                    method,
                    target,
                    body=body,
                    headers={**self._headers, **headers},
                    deadline=Deadline(timeout, self.stopped),
                )
            except TimeoutError:
                raise
            except (ConnectionError, http.client.BadStatusLine, *HUNG_UP):
                if not used:
                    raise
                self._connections.drop_idle()  # the others are as old

    def _wait(self, attempt: int, asked: str) -> None:
        """Wait before the next attempt, at least as long as the server asked for."""
        if attempt + 1 >= self._attempts:
            return
        seconds = max(0.25 * 2**attempt * (0.5 + self._jitter.random()), min(retry_after(asked), LONGEST_WAIT))
        while seconds > 0:
            self.stopped()
            self._sleep(min(seconds, POLL))
            seconds -= POLL

    def _no_trust(self, error: ssl.SSLError) -> Unreachable:
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate is not trusted ({error.verify_message})"
        elif error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNEXPECTED_MESSAGE"):
            why = "it does not speak TLS; register the address with http://"
        else:
            why = f"TLS fails ({(error.reason or str(error)).replace('_', ' ').lower()})"
        return Unreachable(
            f"{self.url} cannot be asked safely: {why}. An own authority is trusted when SSL_CERT_FILE names its "
            "certificate.",
            code="endpoint.tls",
        )

    def _refusal(self, answer: Answer) -> ServingError:
        status = answer.status
        said = self.without_secrets(answer.text)[:300] or "nothing more"
        if status == 413:
            return TooLarge(f"{self.url} refuses a body of this size (413).", code="endpoint.too_large")
        if status in (401, 403):
            return RequestRefused(
                f"{self.url} does not let this server in ({status}): {said}. Look at the endpoint's credential.",
                code="endpoint.credential",
            )
        if status >= 500:
            return ServerFailed(f"{self.url} answered {status}: {said}", code="endpoint.server_error")
        if 300 <= status < 400:
            return RequestRefused(
                f"{self.url} redirects elsewhere ({status}). Rows are sent only to the registered address: "
                "register the final one.",
                code="endpoint.redirect",
            )
        if status < 300:
            return WrongAnswer(f"{self.url} answered {status} and no predictions.", code="answer.status")
        return RequestRefused(f"{self.url} refuses the rows ({status}): {said}", code="endpoint.refused")

    def without_secrets(self, text: str) -> str:
        """Servers like to repeat the token that they refuse; sentences are stored and shown."""
        for value in self._headers.values():
            for secret in sorted({value, *value.split()}, key=len, reverse=True):
                if len(secret) >= 4:
                    text = text.replace(secret, "…")
        return text


def target_of(url: str) -> str:
    """The path and query of ``url``, as a request line has them."""
    parts = urlsplit(url)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def retry_after(asked: str) -> float:
    """Seconds of a Retry-After header, which is a number or a date; 0 when it says nothing readable."""
    asked = asked.strip()
    if asked.isascii() and asked.isdigit():
        return float(asked[:6])
    try:
        moment = parsedate_to_datetime(asked)
    except (ValueError, TypeError):
        return 0.0
    try:
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except OverflowError:
        return 0.0


def _broken(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "it hung up in the middle of an answer"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError | HUNG_UP[0] | HUNG_UP[1]):
        return "it hung up without an answer"
    if isinstance(error, http.client.HTTPException):
        return "it does not speak HTTP"
    return str(error) or type(error).__name__
