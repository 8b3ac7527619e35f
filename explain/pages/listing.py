"""The list of explanations."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from explain.pages.access import may
from explain.pages.filters import ExplanationFilter
from registry.pages.listing import listed


@require_safe
def explanations(request: HttpRequest) -> HttpResponse:
    """All explanations, newest first; filters in the address."""
    may(request, "explain.read")
    more = {
        "may_request": request.user.has_perm("explain.request"),
        "may_erase": request.user.has_perm("account.erase"),
        "version": request.GET.get("version", "")[:160],
    }
    return listed(request, ExplanationFilter(request.GET), "explain/explanation_list.html", lambda _rows: more)
