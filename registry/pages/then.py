"""Models, environments and deployments as of a moment: read-only pages, answered from the log."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from audit import queries as log
from audit.as_of import AsOf
from registry import as_of
from registry.models import Perimeter, Risk, Tier

#: Rows of a table of deployments; the newest are shown.
MOST = 200


def model_then(request: HttpRequest, name: str, then: AsOf) -> HttpResponse:
    """One model as of a moment. Two queries besides those of every page. Raises NotKnown when there was none."""
    found = as_of.registry_at(then, of=("model", name))
    model = as_of.existing(found.models, name, then)
    serving = found.serving()
    open_rows = [each.deployment for each in serving]
    rows = [
        {
            "version": version,
            "aliases": sorted(alias for (_model, alias), label in found.aliases.items() if label == version.label),
            "places": sorted({each.environment for each in open_rows if each.version == version.label}),
        }
        for version in found.versions
    ]
    context = {
        "as_of": then,
        "name": name,
        "model": model.facts,
        "risk": dict(Risk.choices).get(model.facts["risk"], model.facts["risk"]),
        "versions": rows,
        "serving": serving,
        "rows": until(then, model.subject),
    }
    return render(request, "registry/model_then.html", context)


def environment_then(request: HttpRequest, slug: str, then: AsOf) -> HttpResponse:
    """One environment as of a moment. Two queries besides those of every page. Raises NotKnown when there was none."""
    found = as_of.registry_at(then, of=("environment", slug))
    environment = as_of.existing(found.environments, slug, then)
    facts = environment.facts
    serving = found.serving()
    context = {
        "as_of": then,
        "slug": slug,
        "environment": facts,
        "tier": dict(Tier.choices).get(facts["tier"], facts["tier"]),
        "perimeter": dict(Perimeter.choices).get(facts["perimeter"], facts["perimeter"]),
        "serving": serving,
        "open_rows": [each.deployment for each in serving],
        "deployments": list(reversed(found.deployments))[:MOST],
        "rows": until(then, environment.subject),
    }
    return render(request, "registry/environment_then.html", context)


def deployments_then(request: HttpRequest, then: AsOf) -> HttpResponse:
    """What served anywhere as of a moment. One query besides those of every page."""
    served = as_of.registry_at(then, as_of.SERVING).serving()
    context: dict[str, Any] = {"as_of": then, "deployments": [each.deployment for each in served]}
    return render(request, "registry/deployment_then.html", context)


def until(then: AsOf, subject: str, limit: int = 20) -> list[log.EntryRow]:
    """The newest entries about ``subject`` up to the moment. One query."""
    return log.search(log.Filters(subject=subject, through=then.last, log_id=then.log_id), limit=limit).rows
