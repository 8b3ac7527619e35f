"""Questions to the server. Whatever is not a clear answer is ``Stop(UNDECIDED)``: an outage is never a yes."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from countersign import __version__
from countersign.exits import Exit, Stop

LIMIT_BYTES = 20_000_000
#: Codes of refusals that the product gave after it looked: a denial, not a failed request.
_REFUSALS = ("permit.", "rollback.", "alias.", "safeguard.", "waiver.", "emergency.")
_T = TypeVar("_T")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to an address that nobody configured."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


@dataclass(frozen=True)
class Server:
    """Where to ask and as whom. ``timeout`` in seconds bounds the whole exchange."""

    url: str
    token: str
    timeout: float

    def __post_init__(self) -> None:
        if not _is_address(self.url):
            raise Stop(Exit.USAGE, f"{self.url!r} is not an address such as https://countersign.example.")
        if not self.token or not self.token.isascii() or any(sign.isspace() for sign in self.token):
            raise Stop(Exit.USAGE, "A token is needed: set COUNTERSIGN_TOKEN.")

    def post(self, path: str, body: dict[str, Any], *, key: str, request_id: str = "") -> dict[str, Any]:
        """The JSON object of a 2xx answer. Raises ``Stop`` for everything else."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        request = self._request(path, headers, request_id, json.dumps(body).encode())
        return self._answer(request, lambda answer, ends: _object(_read(answer, ends), answer.status))

    def get(self, path: str, *, request_id: str = "") -> dict[str, Any]:
        """The JSON object of a 2xx answer. Raises ``Stop`` for everything else."""
        request = self._request(path, {}, request_id)
        return self._answer(request, lambda answer, ends: _object(_read(answer, ends), answer.status))

    def fetch(self, path: str, target: BinaryIO, *, request_id: str = "") -> str:
        """Write the body of a 2xx answer to ``target``; its SHA-256 in hexadecimal. Raises ``Stop``."""
        request = self._request(path, {"Accept": "*/*"}, request_id)
        return self._answer(request, lambda answer, ends: _copy(answer, target, ends))

    def _request(
        self, path: str, headers: dict[str, str], request_id: str, body: bytes | None = None
    ) -> urllib.request.Request:
        return urllib.request.Request(  # noqa: S310  (the scheme is checked above)
            self.url.rstrip("/") + path,
            data=body,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Accept": "application/json, application/problem+json",
                "X-Request-ID": request_id or uuid.uuid4().hex,
                "User-Agent": f"countersign-cli/{__version__}",
                **headers,
            },
        )

    def _answer(self, request: urllib.request.Request, read: Callable[[Any, float], _T]) -> _T:
        opener = urllib.request.build_opener(_NoRedirect)
        ends = time.monotonic() + self.timeout
        try:
            with opener.open(request, timeout=self.timeout) as answer:
                return read(answer, ends)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, _read_quietly(error, ends)) from None
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise Stop(Exit.UNDECIDED, f"{self.url} did not answer: {reason or type(error).__name__}.") from error


def _is_address(url: str) -> bool:
    """Whether ``url`` is http(s) with a host and, if any, a port that exists, and nothing that a path cannot follow."""
    try:
        parts = urlsplit(url)
        port = parts.port  # raises for what is no port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return (
        plain
        and parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and not (parts.query or parts.fragment)
    )


def _read(answer: Any, ends: float) -> bytes:
    """The whole body, within the time and size that are left."""
    parts: list[bytes] = []
    size = 0
    while part := answer.read1(65_536):
        parts.append(part)
        size += len(part)
        if size > LIMIT_BYTES:
            raise Stop(Exit.UNDECIDED, "The answer is larger than any answer of Countersign.")
        if time.monotonic() > ends:
            raise Stop(Exit.UNDECIDED, "The answer did not end in time.")
    left = getattr(answer, "length", None)
    if left:
        raise Stop(Exit.UNDECIDED, f"The answer broke off {left} bytes before its end.")
    return b"".join(parts)


def _copy(answer: Any, target: BinaryIO, ends: float) -> str:
    """A body of any size, within the time that is left."""
    digest = hashlib.sha256()
    while part := answer.read1(1 << 20):
        digest.update(part)
        try:
            target.write(part)
        except OSError as error:
            raise Stop(Exit.UNDECIDED, f"The file could not be written: {error.strerror}.") from error
        if time.monotonic() > ends:
            raise Stop(Exit.UNDECIDED, "The file did not arrive in time; give a longer --timeout.")
    return digest.hexdigest()


def _read_quietly(answer: Any, ends: float) -> bytes:
    try:
        return _read(answer, ends)
    except (Stop, OSError, http.client.HTTPException):
        return b""


def _object(raw: bytes, status: int) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        raise Stop(Exit.UNDECIDED, f"The answer (HTTP {status}) is not JSON.") from None
    if not isinstance(found, dict):
        raise Stop(Exit.UNDECIDED, f"The answer (HTTP {status}) is not a JSON object.")
    return found


def _refusal(status: int, raw: bytes) -> Stop:
    """What an error status means. A status counts as the server's word only with a problem document of its own."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    problem: dict[str, object] = found if isinstance(found, dict) and found.get("status") == status else {}
    detail = str(problem.get("detail") or problem.get("title") or f"The server answered HTTP {status}.")
    code = str(problem.get("code", ""))
    if problem and status == 409 and code.endswith("differs"):
        return Stop(Exit.MISMATCH, detail, problem)
    if problem and status in (403, 409, 422) and code.startswith(_REFUSALS):
        return Stop(Exit.DENIED, detail, problem)
    if status in (401, 403):
        return Stop(Exit.AUTHENTICATION, detail, problem)
    if problem and status in (400, 404, 405, 413, 415):
        return Stop(Exit.USAGE, detail, problem)
    return Stop(Exit.UNDECIDED, detail, problem)
