"""``/find?q=`` is a page; asked for JSON (``static/js/palette.js``) it answers ``{"count": n, "html": fragment}``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from config.searching import search


@require_safe
def find(request: HttpRequest) -> HttpResponse:
    """The page, or its results as JSON."""
    text = " ".join(request.GET.get("q", "").split())
    groups = search(text, request.user)
    count = sum(len(group.results) for group in groups)
    context = {"text": text, "groups": groups, "count": count}
    response: HttpResponse
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        fragment = render_to_string("config/find_results.html", context, request)
        response = JsonResponse({"count": count, "html": fragment})
    else:
        response = render(request, "config/find.html", context)
    patch_vary_headers(response, ["Accept"])
    return response
