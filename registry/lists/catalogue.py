"""The lists of models and of data sets."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from registry import queries
from registry.lists.base import Cell, ListFilter, any_of, existing_environment, existing_region, moment_text
from registry.models import (
    FACTS,
    Classification,
    Dataset,
    Deployment,
    Model,
    ModelVersion,
    Risk,
)


class ModelFilter(ListFilter):
    """Models by words, risk, where they serve and whether they serve at all."""

    columns: ClassVar[tuple[str, ...]] = (
        "model",
        "title",
        "owner",
        "risk",
        "risk_reason",
        "newest_version",
        "aliases",
        "serves_in",
        "registered",
    )

    STATES = (
        ("serving", _("serves now")),
        ("served", _("served before")),
        ("unserved", _("never served")),
        ("empty", _("has no version")),
    )

    q = forms.CharField(label=_("Name, title or owner"), required=False, max_length=200)
    risk = forms.ChoiceField(label=_("Risk"), required=False, choices=any_of(*Risk.choices))
    environment = forms.CharField(label=_("Serves in"), required=False, max_length=128)
    state = forms.ChoiceField(label=_("State"), required=False, choices=any_of(*STATES))

    def clean_environment(self) -> str:
        """Only one that exists."""
        return existing_environment(self.cleaned_data["environment"])

    def found(self) -> QuerySet[Model]:
        """The models that match."""
        asked, rows = self.cleaned_data, Model.objects.all()
        if words := asked["q"]:
            rows = rows.filter(Q(name__icontains=words) | Q(title__icontains=words) | Q(owner__icontains=words))
        if asked["risk"]:
            rows = rows.filter(risk=asked["risk"])
        served = Deployment.objects.filter(model=OuterRef("pk"))
        if asked["environment"]:
            rows = rows.filter(Exists(served.open().filter(environment__slug=asked["environment"])))
        versions = Exists(ModelVersion.objects.filter(model=OuterRef("pk")))
        conditions = {
            "serving": Exists(served.open()),
            "served": Exists(served) & ~Exists(served.open()),
            "unserved": ~Exists(served) & versions,
            "empty": ~versions,
        }
        return rows.filter(conditions[asked["state"]]) if asked["state"] else rows

    def rows(self) -> QuerySet[Model]:
        """With newest version, aliases and what serves."""
        return queries.with_newest(self.found())

    def cells(self, row: Any) -> list[Cell]:
        """As the page shows it, with the reason of the risk."""
        return [
            row.name,
            row.title,
            row.owner,
            row.risk,
            row.risk_reason,
            row.newest or "",
            " ".join(f"{alias.name}={alias.version.number}" for alias in row.aliases.all()),
            " ".join(f"{each.environment.slug}={each.version.number}" for each in row.open_deployments),
            moment_text(row.created),
        ]


class DatasetFilter(ListFilter):
    """Data sets by words, class, place, what is unknown of them and who says it."""

    columns: ClassVar[tuple[str, ...]] = (
        "data_set",
        "version_digest",
        "class",
        "people_in",
        "regions",
        "owner",
        "perimeter",
        "lawful_basis",
    )
    columns += ("retention", "provenance", "source", "confirmed_facts", "unknown_facts", "registered")

    STANDINGS = (("confirmed", _("confirmed")), ("claimed", _("claimed by the source")))

    q = forms.CharField(label=_("Name, owner or source"), required=False, max_length=200)
    classification = forms.ChoiceField(label=_("Class"), required=False, choices=any_of(*Classification.choices))
    region = forms.CharField(label=_("Region"), required=False, max_length=64)
    unknown = forms.ChoiceField(label=_("Unknown"), required=False)
    standing = forms.ChoiceField(label=_("Who says so"), required=False, choices=any_of(*STANDINGS))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = [(fact, Dataset.word_for(fact)) for fact in FACTS]
        choices = [("gate", gettext("anything that a gate needs")), *words]
        self.fields["unknown"] = forms.ChoiceField(label=_("Unknown"), required=False, choices=any_of(*choices))

    def clean_region(self) -> str:
        """Only one that exists, with what was probably meant."""
        return existing_region(self.cleaned_data["region"])

    def rows(self) -> QuerySet[Dataset]:
        """The data sets that match, by name."""
        asked, rows = self.cleaned_data, Dataset.objects.all()
        if words := asked["q"]:
            rows = rows.filter(Q(name__icontains=words) | Q(owner__icontains=words) | Q(source_uri__icontains=words))
        if asked["classification"]:
            rows = rows.filter(classification=asked["classification"])
        if asked["region"]:
            rows = rows.filter(regions__contains=[asked["region"]])
        if asked["unknown"]:
            rows = rows.filter(_unknown(asked["unknown"]))
        if asked["standing"]:
            rows = rows.filter(confirmed=asked["standing"] == "confirmed")
        return rows

    def cells(self, row: Dataset) -> list[Cell]:
        """Everything that the registry knows of it."""
        return [
            row.name,
            row.digest,
            row.classification,
            " ".join(row.subjects),
            " ".join(row.regions),
            row.owner,
            row.perimeter,
            row.lawful_basis,
            row.retention,
            row.provenance,
            row.source_uri,
            " ".join(row.confirmed_facts),
            " ".join(row.unsaid_facts),
            moment_text(row.created),
        ]


def _unknown(fact: str) -> Q:
    """Rows of which nobody has said ``fact``; ``gate`` is any fact that a gate needs. As ``Dataset.unsaid_facts``."""
    needs_people = ~Q(classification=Classification.NONE)
    said: dict[str, Q] = {
        "classification": Q(classification=Classification.UNKNOWN),
        "regions": Q(regions=[]),
        "subjects": needs_people & Q(subjects=[]),
        "lawful_basis": needs_people & Q(lawful_basis=""),
    }
    if fact == "gate":
        return said["classification"] | said["regions"] | said["subjects"]
    return said.get(fact) or Q(**{fact: ""})
