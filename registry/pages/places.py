"""Environments and deployments as pages."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from audit import queries as audit_queries
from audit.refusals import BadInput
from registry import deployments, environments, queries, regions
from registry.models import Deployment, Environment
from registry.moments import moment
from registry.pages.access import readable
from registry.pages.paging import page_of

PER_PAGE = 50


@readable
def environment_list(request: HttpRequest) -> HttpResponse:
    """Every environment with what serves in it."""
    rows = Environment.objects.prefetch_related(
        Prefetch("deployments", queryset=Deployment.objects.with_names().open(), to_attr="open_deployments")
    )
    page = page_of(rows, request, PER_PAGE)
    return render(request, "registry/environment_list.html", {"page": page})


@readable
def environment_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """One environment: law, places, what serves, its history; ``?as_of=`` answers for another moment."""
    environment = environments.find_environment(slug)
    at, refusal = _as_of(request)
    context = {
        "environment": environment,
        "as_of": at,
        "refusal": refusal,
        "serving": deployments.serving(environment, at=at or timezone.now()),
        "places": [_place(each) for each in environment.regions],
        "log_places": [_place(each) for each in environment.log_sinks],
        "endpoints": environment.endpoints.select_related("version__model"),
        "deployments": Deployment.objects.with_names().filter(environment=environment)[:50],
        "rows": audit_queries.history(environment.subject, limit=20),
    }
    return render(request, "registry/environment_detail.html", context, status=refusal.status if refusal else 200)


def _place(region_id: str) -> dict[str, object]:
    """A region with its country; one that the table does not know satisfies no rule."""
    try:
        known = regions.lookup(region_id)
    except BadInput:
        return {"id": region_id, "country": "", "satisfies": False}
    return {"id": region_id, "country": known.country, "satisfies": known.satisfies}


@readable
def deployment_list(request: HttpRequest) -> HttpResponse:
    """Every deployment and rollback, or what served at one moment."""
    at, refusal = _as_of(request)
    page = page_of(queries.deployments_as_of(at), request, PER_PAGE)
    context = {"page": page, "as_of": at, "given": request.GET.get("as_of", ""), "refusal": refusal}
    return render(request, "registry/deployment_list.html", context, status=refusal.status if refusal else 200)


def _as_of(request: HttpRequest) -> tuple[datetime | None, BadInput | None]:
    """The moment asked for: with a zone, or as a form sends it, which is UTC."""
    text = request.GET.get("as_of", "").strip()
    if len(text) in (16, 19) and not text.endswith("Z"):
        text += "Z"
    try:
        return moment(text), None
    except BadInput as refusal:
        return None, refusal
