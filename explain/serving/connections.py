"""Keep-alive connections with one deadline over a whole exchange and a cap on the size of an answer.

``http.client`` takes half the time of httpx for a request (docs/serving.md). Its time-out holds for one read only, so
that a server that drips would hold a worker for hours: every read here asks what is left of the whole time, and twice a
second whether the work was abandoned.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

#: How often a waiting read asks whether the work was abandoned, in seconds.
POLL = 0.5
#: Servers like uvicorn close an idle connection after 5 seconds.
IDLE = 4.0
#: Connections that are kept.
KEPT = 8
#: Seconds for a connection to be made.
CONNECT = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """``headers`` are found whatever their case."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """The beginning of the body in one line, for a sentence."""
        text = self.body[:2_000].decode("utf-8", errors="replace")
        return " ".join("".join(each if each.isprintable() else " " for each in text).split())


class NoConnection(OSError):  # noqa: N818
    """The connection could not be made: nothing was sent."""


class AnswerTooLarge(Exception):  # noqa: N818
    """The answer is larger than any answer to these rows can be."""


class Deadline:
    """What is left of the time for one exchange; ``stopped`` raises to abandon it."""

    def __init__(self, seconds: float, stopped: Callable[[], None]) -> None:
        self._end = time.monotonic() + seconds
        self.stopped = stopped

    def left(self) -> float:
        """Seconds until the next look at ``stopped``. Raises ``TimeoutError`` when no time is left."""
        seconds = self._end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return min(seconds, POLL)


class _Reader(io.RawIOBase):
    """Reads a socket until the deadline."""

    def __init__(self, timed: _Timed) -> None:
        self._timed = timed
        self._hold = timed.sock.makefile("rb", buffering=0)  # a closed connection is still read to its end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            self._timed.sock.settimeout(self._timed.deadline.left())
            try:
                return self._timed.sock.recv_into(buffer)
            except TimeoutError:
                self._timed.deadline.stopped()

    def close(self) -> None:
        if not self.closed:
            self._hold.close()
        super().close()


class _Timed:
    """A socket as ``http.client`` uses it, under a deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline = Deadline(CONNECT, lambda: None)

    def sendall(self, data: Any) -> None:
        left = memoryview(data)
        while left:
            self.sock.settimeout(self.deadline.left())
            try:
                left = left[self.sock.send(left) :]
            except TimeoutError:
                self.deadline.stopped()

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self), 65_536)

    def close(self) -> None:
        self.sock.close()


class _Connection:
    def __init__(self, parts: SplitResult, context: ssl.SSLContext | None, timeout: float) -> None:
        host, port = parts.hostname or "", parts.port
        self.http: http.client.HTTPConnection = (
            http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
            if context is not None
            else http.client.HTTPConnection(host, port, timeout=timeout)
        )
        self.used = time.monotonic()
        try:
            self.http.connect()
        except ssl.SSLError:
            self.http.close()
            raise
        except OSError as error:
            self.http.close()
            raise NoConnection(_words(error)) from error
        self.timed = _Timed(self.http.sock)
        self.http.sock = self.timed
        self.http.auto_open = 0

    def close(self) -> None:
        self.http.close()


def _words(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "its host name is not known"
    if isinstance(error, TimeoutError):
        return "no connection within the time-out"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    return error.strerror or str(error) or type(error).__name__


class Connections:
    """Connections to one host. Safe to share between threads: each exchange has a connection of its own."""

    def __init__(self, parts: SplitResult, *, largest: int) -> None:
        """``largest``: bytes of an answer's body."""
        self._parts = parts
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._largest = largest
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Close what is not in use; what is in use is closed when its answer is there."""
        with self._lock:
            self._closed = True
        self.drop_idle()

    def drop_idle(self) -> None:
        """Close what is not in use."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def take(self, *, timeout: float) -> tuple[_Connection, bool]:
        """A connection, and whether it was used before. Raises ``NoConnection`` or ``ssl.SSLError``."""
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if time.monotonic() - connection.used < IDLE:
                    return connection, True
                connection.close()
        return _Connection(self._parts, self._context, min(timeout, CONNECT)), False

    def exchange(
        self,
        connection: _Connection,
        method: str,
        target: str,
        *,
        body: bytes | None,
        headers: Mapping[str, str],
        deadline: Deadline,
    ) -> Answer:
        """Send and read. Raises ``TimeoutError``, ``AnswerTooLarge``, ``OSError`` or ``HTTPException``."""
        connection.timed.deadline = deadline
        done = False
        try:
            with _ask(connection.http, method, target, body, headers) as response:
                answer = Answer(response.status, response.headers, self._read(response))
            done = not response.will_close
            return answer
        finally:
            if done:
                self._keep(connection)
            else:
                connection.close()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        if (response.length or 0) > self._largest:
            raise AnswerTooLarge
        body = response.read(self._largest + 1) if response.length is None else response.read()
        if len(body) > self._largest:
            raise AnswerTooLarge
        if not body and response.length is None and not response.chunked:
            raise http.client.IncompleteRead(b"")  # neither a length nor a body: torn in the head
        return body

    def _keep(self, connection: _Connection) -> None:
        connection.used = time.monotonic()
        with self._lock:
            if len(self._idle) < KEPT and not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def _ask(
    connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    try:
        connection.request(method, target, body=body, headers=dict(headers))
    except (BrokenPipeError, ConnectionResetError) as broken:
        # gateways answer 413 and hang up while the body is still being sent
        try:
            return connection.getresponse()
        except (OSError, http.client.HTTPException):
            raise broken from None
    return connection.getresponse()
