"""Addresses with the names of the real pages, so that components render without any other app."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path

from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refused


def page(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    """A page of which only the address matters."""
    return HttpResponse("")


def refusal(request: HttpRequest, kind: str) -> HttpResponse:
    """Raises what ``kind`` names."""
    raised: dict[str, Exception] = {
        "bad-input": BadInput("The month is wrong.", fields={"month": "13 is not a month."}),
        "not-permitted": NotPermitted("You requested this promotion; someone else must sign.", code="signoff.self"),
        "not-known": NotKnown("There is no model «x».", code="model.unknown"),
        "conflict": Conflict("The promotion was withdrawn.", code="promotion.closed"),
        "refused": Refused("Two gates have not passed.", reasons=["<b>First</b>.", "Second."], code="gate.denied"),
        "denied": PermissionDenied(),
        "missing": Http404("There is no promotion 7."),
        "mistake": RuntimeError("a secret detail"),
    }
    raise raised[kind]


def _app(name: str, **routes: str) -> URLResolver:
    patterns: list[URLPattern] = [path(route, page, name=view) for view, route in routes.items()]
    return path("", include((patterns, name)))


handler400 = "config.pages.errors.bad_request"
handler403 = "config.pages.errors.permission_denied"
handler404 = "config.pages.errors.page_not_found"
handler500 = "config.pages.errors.server_error"
urlpatterns = [
    path("", include("config.pages.urls")),
    path("refusals/<slug:kind>", refusal),
    _app(
        "governance",
        overview="",
        review_queue="review",
        promotions="promotions",
        promotion="promotions/<int:id>",
        policies="policies",
        policy="policies/<slug:slug>",
        decision="decisions/<str:id>",
        transfers="transfers",
        incident="incidents/<str:reference>",
        account="account",
        logout="logout",
        login="login",
    ),
    _app(
        "registry",
        models="models",
        model="models/<str:name>",
        version="models/<str:name>/<int:number>",
        datasets="datasets",
        dataset="datasets/<str:name>",
        lineage="lineage",
        environments="environments",
        environment="environments/<slug:slug>",
        deployments="deployments",
        finding="reconciler/findings/<int:number>",
    ),
    _app("explain", explanations="explanations", explanation="explanations/<int:id>"),
    _app("audit", log="log", entry="log/<int:index>", verify="verify"),
]
