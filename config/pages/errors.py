"""How pages say no: refusals of ``audit.refusals`` and Django's own errors, mapped here once."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from audit.context import request_id
from audit.refusals import BadInput, NotKnown, NotPermitted, Refusal

#: The statuses that have a template in ``templates/errors``.
STATUSES = (400, 403, 404, 409, 422, 500)


def refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """The page of a refusal, with its status; every sentence of it is shown as it stands."""
    status = refusal.status if refusal.status in STATUSES else 400
    context: dict[str, Any] = {"refusal": refusal, "status": status, "request_id": request_id.get()}
    return render(request, f"errors/{status}.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler400``."""
    return refused(request, BadInput(_("This request cannot be understood."), code="request.invalid"))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler403``."""
    sentence = str(exception) if isinstance(exception, PermissionDenied) and str(exception) else ""
    return refused(
        request, NotPermitted(sentence or _("Your roles do not permit this page."), code="permission.denied")
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """``CSRF_FAILURE_VIEW``: the form was open for too long, or it came from another site."""
    sentence = _("This form is no longer valid. Go back, reload the page and send it again.")
    return refused(request, NotPermitted(sentence, code="csrf.failed"))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler404``. Django's own text names URL patterns and is not shown; a sentence of ours is."""
    sentence = exception.args[0] if isinstance(exception, Http404) and exception.args else ""
    if not isinstance(sentence, str) or not sentence or sentence.startswith("No "):
        sentence = _("There is no page at this address.")
    return refused(request, NotKnown(sentence, code="page.unknown"))


def server_error(request: HttpRequest) -> HttpResponse:
    """``handler500``: rendered without the request, because whatever failed may fail again."""
    context = {"status": 500, "request_id": request_id.get()}
    return HttpResponse(render_to_string("errors/500.html", context), status=500)
