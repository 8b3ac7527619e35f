"""Around every request: its id, the headers that Django does not set, and refusals as pages or problem documents."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from audit.context import request_id
from audit.refusals import BadInput, Refusal
from config.api.errors import MEDIA_TYPE, problem, problem_response, translate
from config.pages.errors import refused

GetResponse = Callable[[HttpRequest], HttpResponseBase]
log = logging.getLogger(__name__)

#: What is accepted from a caller; anything else is replaced, so that logs cannot be forged with it.
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=-]{7,127}", re.ASCII)
_HEADERS = {
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class RequestIdMiddleware:
    """Outermost: a valid ``X-Request-ID`` is kept, another one is made; logs, entries and the answer carry it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        sent = request.headers.get("X-Request-ID", "")
        chosen = sent if _REQUEST_ID.fullmatch(sent) else str(uuid.uuid4())
        before = request_id.set(chosen)
        request.request_id = chosen  # type: ignore[attr-defined]  # for what Django logs after the middleware
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(before)
        response["X-Request-ID"] = chosen
        for name, value in _HEADERS.items():
            response.setdefault(name, value)
        if not request.path.startswith("/static/"):
            # what one person may read must not be kept by a shared cache, nor shown by «back» after signing out
            response.setdefault("Cache-Control", "private, no-store")
        return response


class RefusalMiddleware:
    """Outside of idempotency: a page's refusal becomes an error page, anything wrong under /api/ a problem document."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "\x00" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            return self._answer(request, BadInput(_("The address contains a NUL character."), code="input.nul"))
        response = self.get_response(request)
        if _is_api(request) and response.status_code >= 400 and not _is_json(response):
            return _plain_problem(request, response)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponseBase | None:
        """Refusals and an absent database are answered; what is our own mistake is left to Django, except for /api/."""
        if _is_api(request):
            translated = translate(error)
            if translated is not None:
                return problem_response(*translated)
            log.error("unhandled error in %s %s", request.method, request.path, exc_info=error)
            return problem_response(_own_mistake())
        if isinstance(error, Refusal):
            return refused(request, error)
        if isinstance(error, (OperationalError, InterfaceError, RequestDataTooBig)):
            translated = translate(error)
            return _trouble_page(*translated) if translated is not None else None
        return None

    def _answer(self, request: HttpRequest, refusal: Refusal) -> HttpResponseBase:
        if _is_api(request):
            return problem_response(problem(refusal.status, refusal.sentence, code=refusal.code))
        return refused(request, refusal)


def _trouble_page(document: Mapping[str, Any], headers: Mapping[str, str]) -> HttpResponse:
    """A page for an absent or busy database; rendered without the request, which would ask the database again."""
    refusal = BadInput(str(document["detail"]), code=str(document["code"]))
    context = {"refusal": refusal, "status": document["status"], "request_id": request_id.get()}
    page = render_to_string("errors/500.html", context)
    return HttpResponse(page, status=document["status"], headers=dict(headers))


def _plain_problem(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    """What Django itself answers under /api/ (unknown path, CSRF, wrong method) in the API's form."""
    status = response.status_code
    sentences = {
        400: _("The request cannot be understood."),
        403: _("The request was refused: its CSRF token is missing or wrong, or the account may not do this."),
        404: _("There is no such endpoint: %s. The document at /api/schema/ lists all.") % request.path,
        405: _("This endpoint does not know the method %s.") % request.method,
        413: _("The body is larger than this server accepts."),
    }
    if status >= 500:
        return problem_response(_own_mistake(status))
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "request.refused")
    kept = {name: response[name] for name in ("Allow", "Retry-After") if name in response}
    return problem_response(problem(status, sentences.get(status, sentences[400]), code=code), kept)


def _own_mistake(status: int = 500) -> dict[str, Any]:
    sentence = _("Something went wrong on this server; it was logged under the request id. Nothing is allowed by it.")
    return problem(status, sentence, code="server.error")


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def _is_json(response: HttpResponseBase) -> bool:
    return response.get("Content-Type", "").partition(";")[0] in {MEDIA_TYPE, "application/json"}
