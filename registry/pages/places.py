"""Environments and deployments as pages."""

from __future__ import annotations

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit import queries as audit_queries
from audit.as_of import asked
from audit.refusals import BadInput
from registry import deployments, environments, regions
from registry.models import Deployment, Environment
from registry.pages.access import readable
from registry.pages.paging import page_of
from registry.pages.then import deployments_then, environment_then

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
    if then := asked(request.GET.get("as_of", "")):
        return environment_then(request, slug, then)
    environment = environments.find_environment(slug)
    context = {
        "environment": environment,
        "serving": deployments.serving(environment),
        "places": [_place(each) for each in environment.regions],
        "log_places": [_place(each) for each in environment.log_sinks],
        "endpoints": environment.endpoints.select_related("version__model"),
        "deployments": Deployment.objects.with_names().filter(environment=environment)[:50],
        "rows": audit_queries.history(environment.subject, limit=20),
    }
    return render(request, "registry/environment_detail.html", context)


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
    if then := asked(request.GET.get("as_of", "")):
        return deployments_then(request, then)
    page = page_of(Deployment.objects.with_names(), request, PER_PAGE)
    return render(request, "registry/deployment_list.html", {"page": page})
