"""Environments and deployments as pages."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit import queries as audit_queries
from audit.as_of import asked
from registry import deployments, environments, finding_wording, findings, queries, regions
from registry.lists import DeploymentFilter, EnvironmentFilter, alone
from registry.models import Deployment
from registry.pages.access import readable
from registry.pages.listing import listed
from registry.pages.then import deployments_then, environment_then

#: Deployments that the list names for each environment.
MOST_SERVED = 5


@readable
def environment_list(request: HttpRequest) -> HttpResponse:
    """Environments with what serves in them; filters in the address."""

    def more(rows: list[Any]) -> dict[str, Any]:
        return {**_served(rows), "may": _may_change(request)}

    return listed(request, EnvironmentFilter(request.GET), "registry/environment_list.html", more)


def _served(rows: list[Any]) -> dict[str, Any]:
    """The newest few of what serves in each environment; a list of thousands would hide the rest of the page."""
    found = queries.served_in(rows, MOST_SERVED)
    for row in rows:
        row.shown = found[row.pk]
        row.unlisted = row.served - len(row.shown)
    return {}


@readable
def environment_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """One environment: law, places, what serves, its history; ``?as_of=`` answers for another moment."""
    if then := asked(request.GET.get("as_of", "")):
        return environment_then(request, slug, then)
    environment = environments.find_environment(slug)
    serving = deployments.serving(environment)
    unlawful = findings.unlawful_among(each.deployment for each in serving)
    context = {
        "environment": environment,
        "serving": [(each, unlawful.get(each.deployment.subject)) for each in serving],
        "unlawful": [(row, finding_wording.sentence(row)) for row in unlawful.values()],
        "places": [regions.described(each) for each in environment.regions],
        "log_places": [regions.described(each) for each in environment.log_sinks],
        **{
            kind: None if ids is None else [regions.described(each) for each in ids]
            for kind, ids in environment.places.items()
            if kind in ("backup", "support_access", "explanation_job")
        },
        "may": _may_change(request),
        "endpoints": environment.endpoints.select_related("version__model"),
        "deployments": Deployment.objects.with_names().filter(environment=environment)[:50],
        "rows": audit_queries.history(environment.subject, limit=20),
    }
    return render(request, "registry/environment_detail.html", context)


def _may_change(request: HttpRequest) -> bool:
    user: Any = request.user
    return bool(user.has_perm("registry.change"))


@readable
def deployment_list(request: HttpRequest) -> HttpResponse:
    """Deployments and rollbacks, filters in the address; or what served at one moment."""
    alone(request.GET)
    if then := asked(request.GET.get("as_of", "")):
        return deployments_then(request, then)
    return listed(request, DeploymentFilter(request.GET), "registry/deployment_list.html", _judged)


def _judged(rows: list[Any]) -> dict[str, Any]:
    """Which of the listed deployments are no longer lawful."""
    unlawful = findings.unlawful_among(rows)
    for row in rows:
        row.unlawful = unlawful.get(row.subject)
    return {}
