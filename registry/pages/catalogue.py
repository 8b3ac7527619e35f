"""Models, versions and data sets as pages."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit import queries as audit_queries
from audit.as_of import asked
from registry import datasets, queries, versions
from registry.models import Dataset, Deployment, ModelVersion, OpenLineageName
from registry.pages.access import readable
from registry.pages.lineage_picture import picture_of
from registry.pages.paging import page_of
from registry.pages.then import model_then

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Learned:
    """A version that learned from a data set, and where it serves now."""

    version: ModelVersion
    serving: list[Deployment]


@readable
def model_list(request: HttpRequest) -> HttpResponse:
    """Every model with what serves of it."""
    page = page_of(queries.models(), request, PER_PAGE)
    return render(request, "registry/model_list.html", {"page": page})


@readable
def model_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One model with its versions; ``?as_of=`` answers for another moment."""
    if then := asked(request.GET.get("as_of", "")):
        return model_then(request, name, then)
    model = versions.find_model(name)
    rows = list(queries.versions_of(model))
    context = {
        "model": model,
        "versions": rows,
        "serving": [deployment for row in rows for deployment in row.open_deployments],  # type: ignore[attr-defined]
        "rows": audit_queries.history(model.subject, limit=20),
    }
    return render(request, "registry/model_detail.html", context)


@readable
def version_detail(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """One version: where it serves, what it was made from, why it said so, what was decided."""
    detail = queries.version_detail(versions.resolve(name, number))
    version = detail.version
    context = {
        "detail": detail,
        "version": version,
        "open": [row for row in detail.deployments if row.until is None],
        "conclusion": _where(version, detail.deployments),
        "picture": picture_of(version.subject, "both", 2),
        "rows": audit_queries.history(version.subject, limit=20),
    }
    return render(request, "registry/version_detail.html", context)


def _where(version: ModelVersion, deployments: tuple[Deployment, ...]) -> str:
    """The first sentence of the page."""
    places = sorted({row.environment.slug for row in deployments if row.until is None})
    if places:
        return _("%(version)s serves in %(places)s.") % {"version": version.label, "places": ", ".join(places)}
    if deployments:
        return _("%(version)s served before and serves nowhere now.") % {"version": version.label}
    return _("%(version)s has never served anywhere.") % {"version": version.label}


@readable
def dataset_list(request: HttpRequest) -> HttpResponse:
    """Every data set with class, people and regions; what is unknown is loud."""
    page = page_of(Dataset.objects.all(), request, PER_PAGE)
    return render(request, "registry/dataset_list.html", {"page": page})


@readable
def dataset_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One data set: what is known of it, which versions learned from it and where those serve now."""
    dataset = datasets.find_dataset(name)
    learned = queries.versions_from_dataset(dataset)
    serving = list(Deployment.objects.with_names().open().filter(version__in=learned))
    context = {
        "dataset": dataset,
        "learned": [Learned(version, [row for row in serving if row.version_id == version.pk]) for version in learned],
        "conclusion": _reach(len(learned), serving),
        "picture": picture_of(dataset.subject, "downstream", 3),
        "called": OpenLineageName.objects.filter(dataset_name=dataset.name).first(),
        "rows": audit_queries.history(dataset.subject, limit=20),
    }
    return render(request, "registry/dataset_detail.html", context)


def _reach(learned: int, serving: list[Deployment]) -> str:
    if not learned:
        return _("No model version learned from it.")
    first = ngettext("%(n)d model version learned from it", "%(n)d model versions learned from it", learned) % {
        "n": learned
    }
    places = sorted({row.environment.slug for row in serving})
    if not places:
        return _("%(first)s; none of them serves now.") % {"first": first}
    return _("%(first)s; what it taught serves in %(places)s.") % {"first": first, "places": ", ".join(places)}
