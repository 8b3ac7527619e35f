"""``Idempotency-Key``: a repeated POST is answered with the first answer and changes nothing.

Follows draft-ietf-httpapi-idempotency-key-header-07. The change and its kept answer are one transaction: after a crash
either both exist or neither does. While the first request runs, PostgreSQL's advisory lock says so to the second one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.settings import api_settings

from audit.refusals import BadInput, Conflict, Refusal
from governance import tokens
from governance.api.authentication import token_user
from governance.models.idempotency import IdempotencyRecord
from governance.models.user import User

HEADER = "Idempotency-Key"
KEPT_HEADERS = ("Content-Type", "Location", "ETag", "Retry-After")


class IdempotencyMiddleware:
    """For POST under /api/ with the header. Anonymous requests pass: the view refuses them and nothing is kept."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        key = request.headers.get(HEADER)
        if key is None or request.method != "POST" or not request.path.startswith("/api/"):
            return self.get_response(request)
        user = _caller(request)
        if user is None:
            return self.get_response(request)
        try:
            return self._once(request, user, _readable(key))
        except (Refusal, DatabaseError) as error:  # a database error here is the COMMIT's: nothing was written
            return _problem(error, request)

    def _once(self, request: HttpRequest, user: User, key: str) -> HttpResponseBase:
        """Raises Conflict when the key is in use, now or for another request."""
        line, digest = f"{request.method} {request.get_full_path()}"[:2100], _digest(request)
        with transaction.atomic():
            if not _alone(user, key):
                raise Conflict(
                    _("A request with this Idempotency-Key is still running; repeat it in a moment."),
                    code="idempotency.in_progress",
                )
            kept = IdempotencyRecord.objects.filter(user=user, key=key).first()
            if kept is not None and kept in IdempotencyRecord.objects.outdated():
                kept.delete()
                kept = None
            if kept is not None:
                return _replay(kept, line, digest)
            response = self.get_response(request)
            if response.status_code >= 500 or not isinstance(response, HttpResponse):
                # a failure may be repeated with the same key, so nothing of it may stay
                transaction.set_rollback(response.status_code >= 500)
                return response
            IdempotencyRecord.objects.create(
                user=user,
                key=key,
                request_line=line,
                request_digest=digest,
                status=response.status_code,
                headers={name: response[name] for name in KEPT_HEADERS if name in response},
                body=response.content,
            )
            return response


def forget_outdated() -> int:
    """Delete answers older than seven days; returns how many. For the periodic task."""
    deleted, _per_table = IdempotencyRecord.objects.outdated(timezone.now()).delete()
    return deleted


def _caller(request: HttpRequest) -> User | None:
    try:
        user = token_user(request) or request.user
    except tokens.TokenRefused:
        return None
    return user if isinstance(user, User) else None


def _readable(key: str) -> str:
    """The key without the quotes of a structured-field string. Raises BadInput unless 1 to 255 printable characters."""
    key = key.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise BadInput(
            _("The header Idempotency-Key needs 1 to 255 printable ASCII characters."), code="idempotency.key"
        )
    return key


def _digest(request: HttpRequest) -> str:
    """SHA-256 over content type and body (raises RequestDataTooBig, 413, as reading the body does)."""
    return hashlib.sha256(f"{request.content_type}\n".encode() + request.body).hexdigest()


def _alone(user: User, key: str) -> bool:
    """Take the lock for user and key until the transaction ends; False when another request holds it."""
    number = int.from_bytes(hashlib.sha256(f"idempotency\n{user.pk}\n{key}".encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        row = cursor.fetchone()
    return bool(row and row[0])


def _replay(kept: IdempotencyRecord, line: str, digest: str) -> HttpResponse:
    if (kept.request_line, kept.request_digest) != (line, digest):
        raise Conflict(
            _("This Idempotency-Key was used for another request (%s); use a new key for each request.")
            % kept.request_line,
            code="idempotency.reused",
        )
    headers: Mapping[str, str] = kept.headers
    return HttpResponse(bytes(kept.body), status=kept.status, headers={**headers, "Idempotent-Replay": "true"})


def _problem(error: Exception, request: HttpRequest) -> HttpResponse:
    """The API's own rendering of an error (the handler is a setting, so nothing above is imported).

    Raises the error again when it is not one that a caller can mend.
    """
    handler: Any = api_settings.EXCEPTION_HANDLER
    rendered = handler(error, {"request": request, "view": None})
    if rendered is None:
        raise error
    response = JsonResponse(rendered.data, status=rendered.status_code, content_type="application/problem+json")
    if "Retry-After" in rendered:
        response["Retry-After"] = rendered["Retry-After"]
    return response
