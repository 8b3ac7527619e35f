"""Every error of the API as a problem document (RFC 9457), with a sentence that says how to mend it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, ValidationError
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, JsonResponse
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from audit.context import request_id
from audit.refusals import BadInput, Refusal, Refused

MEDIA_TYPE = "application/problem+json"
#: PostgreSQL: serialization_failure, deadlock_detected, lock_not_available (class 40 and 55P03).
_TRANSIENT = {"40001", "40P01", "55P03"}
_UNIQUE = "23505"
log = logging.getLogger(__name__)


def problem(
    status: int, detail: str, *, code: str, errors: Sequence[Mapping[str, str]] = (), title: str = ""
) -> dict[str, Any]:
    """The document. ``errors`` are {"detail", "pointer"?}: pointer is a JSON pointer into the body (RFC 6901)."""
    document: dict[str, Any] = {
        "type": f"urn:countersign:problem:{code}",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id.get(),
    }
    if errors:
        document["errors"] = [dict(error) for error in errors]
    return document


def problem_response(document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> JsonResponse:
    """The document outside of Django REST framework (middleware, unknown paths)."""
    return JsonResponse(
        dict(document), status=int(document["status"]), content_type=MEDIA_TYPE, headers=dict(headers or {})
    )


def handler(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Django REST framework's ``EXCEPTION_HANDLER``. None for what is our own mistake: that becomes a logged 500."""
    translated = translate(error)
    if translated is None:
        return None
    document, headers = translated
    request = context.get("request")
    if isinstance(request, Request):  # also where the view answers YAML or HTML
        request.accepted_renderer = JSONRenderer()
        request.accepted_media_type = JSONRenderer.media_type
    return Response(document, status=document["status"], headers=headers, content_type=MEDIA_TYPE)


def translate(error: Exception) -> tuple[dict[str, Any], dict[str, str]] | None:
    """Problem document and extra headers for an exception; None when it is not one that a caller can mend."""
    if isinstance(error, Refusal):
        return _of_refusal(error), {}
    if isinstance(error, exceptions.APIException):
        return _of_framework(error)
    if isinstance(error, ValidationError):
        details = [{"detail": message} for message in error.messages]
        return problem(400, _("The request is not valid: see errors."), code="input.invalid", errors=details), {}
    if isinstance(error, Http404):
        return problem(404, _("There is nothing here with this name or number."), code="not_found"), {}
    if isinstance(error, PermissionDenied):
        return problem(403, str(error) or _("Your account may not do this."), code="access.denied"), {}
    if isinstance(error, RequestDataTooBig):
        return problem(413, _("The body is larger than this server accepts."), code="input.too_large"), {}
    if isinstance(error, RecursionError):
        return problem(400, _("The body is nested too deeply."), code="input.nesting"), {}
    return _of_database(error)


def _of_refusal(error: Refusal) -> dict[str, Any]:
    errors: list[dict[str, str]] = []
    if isinstance(error, BadInput):
        errors = [{"detail": sentence, "pointer": _pointer([name])} for name, sentence in error.fields.items()]
    if isinstance(error, Refused):
        errors = [{"detail": reason} for reason in error.reasons]
    return problem(error.status, error.sentence, code=error.code, errors=errors)


def _of_framework(error: exceptions.APIException) -> tuple[dict[str, Any], dict[str, str]]:
    headers: dict[str, str] = {}
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = f"{int(wait) + 1}"
    if isinstance(error, exceptions.ValidationError):
        errors = list(_flat(error.detail, []))
        sentence = _("The request is not valid: see errors.")
        return problem(400, sentence, code="input.invalid", errors=errors), headers
    code = str(getattr(error.detail, "code", error.default_code))
    sentence = str(error.detail)
    if isinstance(error, exceptions.ParseError):
        place = sentence.removeprefix("JSON parse error - ")
        sentence, code = _("The body is not JSON: %s.") % place.rstrip("."), "input.not_json"
    return problem(error.status_code, sentence, code=code), headers


def _of_database(error: Exception) -> tuple[dict[str, Any], dict[str, str]] | None:
    state = getattr(error.__cause__, "sqlstate", None)
    if isinstance(error, (OperationalError, InterfaceError)):
        log.warning("database unavailable or transaction to be repeated", exc_info=error)
        busy = state in _TRANSIENT
        sentence = (
            _("Another change came at the same time; nothing was written. Repeat the request.")
            if busy
            else _("The database does not answer; nothing was written. Repeat the request later.")
        )
        code = "database.busy" if busy else "database.unavailable"
        return problem(503, sentence, code=code), {"Retry-After": "1" if busy else "10"}
    if isinstance(error, IntegrityError) and state == _UNIQUE:
        log.warning("unique constraint met in a race", exc_info=error)
        return problem(409, _("Something with this name was made at the same time."), code="database.taken"), {}
    if isinstance(error, DataError):
        log.warning("a value that the database cannot hold", exc_info=error)
        sentence = _("A value is too long, too large or has a character that cannot be stored.")
        return problem(400, sentence, code="input.value"), {}
    return None


def _flat(detail: Any, path: list[str]) -> Iterator[dict[str, str]]:
    """Nested serializer errors as a list, each with its place."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            yield from _flat(inner, path if key == "non_field_errors" else [*path, str(key)])
    elif isinstance(detail, (list, tuple)):
        for number, inner in enumerate(detail):
            nested = isinstance(inner, (Mapping, list, tuple))
            yield from _flat(inner, [*path, str(number)] if nested else path)
    else:
        yield {"detail": str(detail), "pointer": _pointer(path), "code": str(getattr(detail, "code", "invalid"))}


def _pointer(path: Sequence[str]) -> str:
    return "#" + "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
