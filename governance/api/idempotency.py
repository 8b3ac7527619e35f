"""``Idempotency-Key``: a repeated POST is answered with the first answer and changes nothing.

Follows draft-ietf-httpapi-idempotency-key-header-07. The change and its kept answer are one transaction: after a crash
either both exist or neither does. What is kept can be read with the caller's key only. While the first request runs,
PostgreSQL's advisory lock says so to the second one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.settings import api_settings

from audit.refusals import BadInput, Conflict, Refusal
from governance import tokens
from governance.api import sealing
from governance.api.authentication import token_user
from governance.models.idempotency import IdempotencyRecord
from governance.models.permit import Permit
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
            return problem(error, request)

    def _once(self, request: HttpRequest, user: User, key: str) -> HttpResponseBase:
        """Raises Conflict when the key is in use, now or for another request."""
        line = f"{request.method} {request.get_full_path()}"[:2100]
        content = _content(request)
        with transaction.atomic():
            if not _alone(user, key):
                raise Conflict(
                    _("A request with this Idempotency-Key is still running; repeat it in a moment."),
                    code="idempotency.in_progress",
                )
            found = _kept(user, key)
            if found is not None:
                return _replay(*found, key, line, content)
            response = self.get_response(request)
            if response.status_code >= 500 or not isinstance(response, HttpResponse):
                # a failure may be repeated with the same key, so nothing of it may stay
                transaction.set_rollback(response.status_code >= 500)
                return response
            _keep(response, user, key, line, content)
            return response


def _kept(user: User, key: str) -> tuple[IdempotencyRecord, str] | None:
    """The answer to an earlier request with this key, and the secret it was sealed with.

    Raises Conflict when there seems to be one of a secret that this installation no longer has: whether the request
    was done cannot be told, so it is not done again.
    """
    owner = str(user.uuid)
    IdempotencyRecord.objects.outdated().filter(user=user).delete()
    for secret in sealing.secrets_in_use():
        digest = sealing.key_digest(key, owner=owner, secret=secret)
        record = IdempotencyRecord.objects.select_related("permit").filter(user=user, key_digest=digest).first()
        if record is not None:
            return record, secret
    known = [sealing.secret_name(secret) for secret in sealing.secrets_in_use()]
    hint = sealing.key_hint(key, owner=owner)
    if IdempotencyRecord.objects.filter(user=user, key_hint=hint).exclude(secret_name__in=known).exists():
        raise _unreadable()
    return None


def _keep(response: HttpResponse, user: User, key: str, line: str, content: bytes) -> None:
    secret, owner = sealing.secrets_in_use()[0], str(user.uuid)
    stale_at, permit = getattr(response, "_replay_while", (None, None))
    record = IdempotencyRecord(
        stale_at=stale_at,
        permit=permit,
        user=user,
        key_digest=sealing.key_digest(key, owner=owner, secret=secret),
        key_hint=sealing.key_hint(key, owner=owner),
        secret_name=sealing.secret_name(secret),
        request_line=line,
        request_digest=sealing.request_digest(content, secret=secret),
        status=response.status_code,
        headers={name: response[name] for name in KEPT_HEADERS if name in response},
    )
    record.sealed_body = sealing.seal(response.content, key=key, about=_about(record), secret=secret)
    record.save(force_insert=True)


def _about(record: IdempotencyRecord) -> bytes:
    """What a kept body belongs to: user, method and path, status and headers. Bound to it by the encryption."""
    parts = [str(record.user.uuid), record.request_line, record.request_digest, record.status, record.headers]
    return json.dumps(parts, sort_keys=True).encode()


def _unreadable() -> Conflict:
    return Conflict(
        _(
            "The answer kept for this Idempotency-Key cannot be read any more, so the request is not done again. "
            "See whether it was done, and repeat it with a new key if not."
        ),
        code="idempotency.unreadable",
    )


def replay_while(response: HttpResponse, *, until: datetime, permit: Permit | None) -> None:
    """Called by a view whose answer ends earlier than kept answers do: at ``until``, or when ``permit`` is used."""
    response._replay_while = (until, permit)  # type: ignore[attr-defined]


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


def _content(request: HttpRequest) -> bytes:
    """Content type and body (raises RequestDataTooBig, 413, as reading the body does)."""
    return f"{request.content_type}\n".encode() + request.body


def _alone(user: User, key: str) -> bool:
    """Take the lock for user and key until the transaction ends; False when another request holds it."""
    number = int.from_bytes(hashlib.sha256(f"idempotency\n{user.pk}\n{key}".encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        row = cursor.fetchone()
    return bool(row and row[0])


def _replay(kept: IdempotencyRecord, secret: str, key: str, line: str, content: bytes) -> HttpResponse:
    """The kept answer, byte for byte.

    Raises Conflict when it is another request's, no longer holds, or cannot be read any more.
    """
    digest = sealing.request_digest(content, secret=secret)
    if kept.request_line != line or not hmac.compare_digest(kept.request_digest, digest):
        raise Conflict(
            _("This Idempotency-Key was used for another request (%s); use a new key for each request.")
            % kept.request_line,
            code="idempotency.reused",
        )
    if kept.is_stale(timezone.now()):
        raise Conflict(
            _("The answer kept for this Idempotency-Key no longer holds. Ask again with a fresh key."),
            code="idempotency.outdated",
        )
    try:
        body = sealing.unseal(bytes(kept.sealed_body), key=key, about=_about(kept), secret=secret)
    except sealing.Unreadable as error:
        raise _unreadable() from error
    headers: Mapping[str, str] = kept.headers
    return HttpResponse(body, status=kept.status, headers={**headers, "Idempotent-Replay": "true"})


def problem(error: Exception, request: HttpRequest) -> HttpResponse:
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
