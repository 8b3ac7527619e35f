"""Models, versions and data sets as pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit import queries as audit_queries
from audit.as_of import asked
from registry import datasets, families, finding_wording, findings, queries, regions, versions
from registry.lists import DatasetFilter, ModelFilter
from registry.models import Dataset, Deployment, ModelVersion, OpenLineageName
from registry.pages.access import readable
from registry.pages.lineage_picture import picture_of
from registry.pages.listing import listed
from registry.pages.paging import page_of
from registry.pages.then import model_then

PER_PAGE = 50
#: Versions that the page of a data set lists; its first sentence counts all.
MOST_LEARNED = 100


@dataclass(frozen=True, slots=True)
class Learned:
    """A version that learned from a data set, and where it serves now."""

    version: ModelVersion
    serving: list[Deployment]


@readable
def model_list(request: HttpRequest) -> HttpResponse:
    """Models with what serves of them; filters in the address."""
    return listed(request, ModelFilter(request.GET), "registry/model_list.html")


@readable
def model_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One model with a page of its versions; ``?as_of=`` answers for another moment."""
    if then := asked(request.GET.get("as_of", "")):
        return model_then(request, name, then)
    model = versions.find_model(name)
    context = {
        "model": model,
        "page": page_of(queries.versions_of(model), request, PER_PAGE),
        "serving": Deployment.objects.open().filter(model=model).count(),
        "may_change": request.user.has_perm("registry.change"),
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
        "to_replace": [(row, finding_wording.sentence(row)) for row in findings.to_replace(version)],
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
    """Data sets with class, people and regions; what is unknown is loud."""
    return listed(request, DatasetFilter(request.GET), "registry/dataset_list.html", _roots)


def _roots(rows: list[Any]) -> dict[str, Any]:
    found = families.roots(rows)
    for row in rows:
        row.version_of = found.get(row.name, "")
    return {}


@readable
def dataset_detail(request: HttpRequest, name: str) -> HttpResponse:
    """One data set: what is known of it, which versions learned from it and where those serve now."""
    dataset = datasets.find_dataset(name)
    learned = queries.versions_from_dataset(dataset)
    serving = list(Deployment.objects.with_names().open().filter(version__in=learned))
    shown = sorted(learned, key=lambda row: not any(each.version_id == row.pk for each in serving))[:MOST_LEARNED]
    root = families.root(dataset)
    context = {
        "dataset": dataset,
        "learned": [Learned(version, [row for row in serving if row.version_id == version.pk]) for version in shown],
        "unlisted": len(learned) - len(shown),
        "conclusion": _reach(len(learned), serving),
        "places": [_place(each) for each in dataset.regions],
        "facts": facts_shown(dataset),
        "root": root,
        "family": families.versions_of(root),
        "may_change": request.user.has_perm("registry.change") or request.user.has_perm("dataset.confirm"),
        "picture": picture_of(dataset.subject, "downstream", 3),
        "called": OpenLineageName.objects.filter(dataset_name=dataset.name).first(),
        "rows": audit_queries.history(dataset.subject, limit=20),
    }
    return render(request, "registry/dataset_detail.html", context)


def _place(region_id: str) -> dict[str, object]:
    found = regions.described(region_id)
    return {**found, "said": regions.STATUSES.get(str(found["status"]), found["status"])}


def facts_shown(dataset: Dataset) -> list[dict[str, Any]]:
    """Every fact but the regions, in words, with whether it is confirmed and whether a gate denies for want of it."""
    worded = {
        "classification": dataset.get_classification_display(),
        "subjects": ", ".join(dataset.subjects),
        "owner": dataset.owner,
        "perimeter": dataset.get_perimeter_display(),
        "lawful_basis": dataset.get_lawful_basis_display(),
        "retention": dataset.retention,
        "provenance": dataset.provenance,
    }
    return [
        {
            "name": fact,
            "label": Dataset.word_for(fact),
            "text": text,
            "said": dataset.says(fact),
            "confirmed": fact in dataset.confirmed_facts,
            "denies": fact in dataset.unknown_facts,
        }
        for fact, text in worded.items()
    ]


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
