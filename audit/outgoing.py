"""Requests to servers outside that need not be friendly: one deadline over all, a limit on the answer, no redirects."""

from __future__ import annotations

import base64
import contextlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.utils.translation import gettext as _

#: Seconds from the first to the last byte, and bytes of an answer's body.
DEADLINE = 10.0
LIMIT = 65_536
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class NotDelivered(Exception):  # noqa: N818
    """The other side did not take it; the text is a sentence.

    ``state`` is unreachable, refused, invalid (a wrong answer) or conflict (it knows another history of the log).
    """

    def __init__(self, state: str, sentence: str) -> None:
        super().__init__(sentence)
        self.state, self.sentence = state, sentence


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; ``kind`` is its content type without parameters."""

    status: int
    kind: str
    body: bytes


def post(url: str, body: bytes, headers: Mapping[str, str], *, deadline: float = DEADLINE, limit: int = LIMIT) -> Reply:
    """POST ``body``; redirects come back as what they are. Raises ``NotDelivered``.

    ``deadline`` is in seconds and covers everything after the connection is made: a server that sends one byte now
    and then does not hold the caller. ``limit`` is in bytes.
    """
    parts = _address(url)
    place = parts.path + (f"?{parts.query}" if parts.query else "")
    connection = _connection(parts, deadline)
    try:
        connection.connect()
        with _closed_after(connection.sock, deadline):
            connection.request("POST", place or "/", body, {"User-Agent": "countersign", **headers})
            with connection.getresponse() as answer:
                data = answer.read(limit + 1)
                if answer.length and len(data) <= limit:
                    raise http.client.IncompleteRead(data, answer.length)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotDelivered("unreachable", _unreachable(parts, error)) from error
    finally:
        connection.close()
    if len(data) > limit:
        raise NotDelivered(
            "invalid",
            _("%(host)s answered with more than %(limit)d bytes.") % {"host": parts.netloc, "limit": limit},
        )
    return Reply(answer.status, (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower(), data)


def post_signed(url: str, secret: str, message_id: str, body: bytes) -> None:
    """POST JSON with the headers of Standard Webhooks 1.0 (webhook-id, -timestamp, -signature).

    ``secret`` is ``whsec_`` and base64, or any text of 24 characters or more. The id stays the same when a message is
    sent again, so that the receiver can tell. Raises ``NotDelivered``.
    """
    key = signing_key(secret)
    if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in _LOOPBACK:
        raise NotDelivered("refused", _("The webhook's address must begin with https://."))
    at = str(int(time.time()))
    mac = hmac.digest(key, f"{message_id}.{at}.".encode() + body, "sha256")
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
    reply = post(url, body, headers)
    if not 200 <= reply.status < 300:
        raise NotDelivered(
            "refused",
            _("The webhook %(host)s answered with status %(status)d.")
            % {"host": urlsplit(url).netloc, "status": reply.status},
        )


def signing_key(secret: str) -> bytes:
    """The bytes of a webhook secret. Raises ``NotDelivered`` when it is missing or too short to be one."""
    try:
        key = base64.b64decode(secret[6:], validate=True) if secret.startswith("whsec_") else secret.encode()
    except ValueError:
        key = b""
    if len(key) < 24:
        raise NotDelivered(
            "refused",
            _("Set WEBHOOK_SECRET to «whsec_» and at least 24 random bytes in base64: nothing is sent unsigned."),
        )
    return key


def _address(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and not parts.username and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise NotDelivered("refused", _("«%(url)s» is not an http:// or https:// address.") % {"url": url[:200]})
    return parts


def _connection(parts: SplitResult, deadline: float) -> http.client.HTTPConnection:
    host = str(parts.hostname)
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=deadline)
    return http.client.HTTPSConnection(host, parts.port, timeout=deadline, context=ssl.create_default_context())


@contextlib.contextmanager
def _closed_after(connected: socket.socket, seconds: float) -> Iterator[None]:
    """Break the connection off after ``seconds``; a time-out for each read alone could be stretched without end."""

    def break_off() -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, break_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _unreachable(parts: SplitResult, error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _("The certificate of %(host)s does not hold: %(why)s.") % {
            "host": parts.netloc,
            "why": error.verify_message,
        }
    if isinstance(error, TimeoutError | http.client.HTTPException):
        return _("%(host)s did not answer in time or broke off.") % {"host": parts.netloc}
    why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return _("%(host)s cannot be reached: %(why)s.") % {"host": parts.netloc, "why": why}
