"""The lists of environments and of deployments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from audit.refusals import BadInput
from registry import queries
from registry.lists.base import (
    Cell,
    ListFilter,
    any_of,
    existing_environment,
    existing_region,
    moment_text,
    must_be_in_order,
)
from registry.models import (
    Deployment,
    DeploymentKind,
    Environment,
    Model,
    Perimeter,
    Strategy,
    Tier,
)


def _said(places: list[str] | None) -> str:
    """The places of one kind in a table: an empty cell would not tell «none» from «nobody said»."""
    return "unknown" if places is None else " ".join(places) or "none"


_DAY = forms.DateInput(attrs={"type": "date"})


class EnvironmentFilter(ListFilter):
    """Environments by words, tier, law and place."""

    columns: ClassVar[tuple[str, ...]] = (
        "environment",
        "name",
        "tier",
        "regions",
        "log_sinks",
        "backups",
        "support_access",
        "explanation_workers",
        "perimeter",
        "serving",
        "registered",
    )

    q = forms.CharField(label=_("Name"), required=False, max_length=200)
    tier = forms.ChoiceField(label=_("Tier"), required=False, choices=any_of(*Tier.choices))
    perimeter = forms.ChoiceField(label=_("Perimeter"), required=False, choices=any_of(*Perimeter.choices))
    region = forms.CharField(label=_("Region of serving, logs, backups or workers"), required=False, max_length=64)

    def clean_region(self) -> str:
        """Only one that exists, with what was probably meant."""
        return existing_region(self.cleaned_data["region"])

    def found(self) -> QuerySet[Environment]:
        """The environments that match, by slug."""
        asked, rows = self.cleaned_data, Environment.objects.all()
        if words := asked["q"]:
            rows = rows.filter(Q(slug__icontains=words) | Q(name__icontains=words))
        for name in ("tier", "perimeter"):
            if asked[name]:
                rows = rows.filter(**{name: asked[name]})
        if asked["region"]:
            kinds = ("regions", "log_sinks", "backups", "explanation_workers")
            wanted = [Q(**{f"{kind}__contains": [asked["region"]]}) for kind in kinds]
            rows = rows.filter(reduce(or_, wanted))
        return rows

    def rows(self) -> QuerySet[Environment]:
        """With how many deployments serve there."""
        return queries.with_served(self.found())

    def cells(self, row: Any) -> list[Cell]:
        """As the page shows it; what serves is counted."""
        return [
            row.slug,
            row.name,
            row.tier,
            " ".join(row.regions),
            " ".join(row.log_sinks),
            *(_said(getattr(row, kind)) for kind in ("backups", "support_access", "explanation_workers")),
            row.perimeter,
            row.served,
            moment_text(row.created),
        ]


class DeploymentFilter(ListFilter):
    """Deployments by model, place, kind, strategy, period and words; days are UTC and both ends belong to it."""

    columns: ClassVar[tuple[str, ...]] = (
        "deployment",
        "model",
        "version",
        "environment",
        "kind",
        "strategy",
        "share",
        "digest",
        "since",
        "until",
    )
    columns += ("decision", "permit", "recorded_by", "undoes", "incident", "reason")

    STATES = (("serving", _("serves now")), ("ended", _("ended")))

    model = forms.CharField(label=_("Model"), required=False, max_length=128)
    environment = forms.CharField(label=_("Environment"), required=False, max_length=128)
    kind = forms.ChoiceField(label=_("Kind"), required=False, choices=any_of(*DeploymentKind.choices))
    strategy = forms.ChoiceField(label=_("Strategy"), required=False, choices=any_of(*Strategy.choices))
    state = forms.ChoiceField(label=_("State"), required=False, choices=any_of(*STATES))
    since = forms.DateField(label=_("From"), required=False, widget=_DAY)
    until = forms.DateField(label=_("To"), required=False, widget=_DAY)
    q = forms.CharField(label=_("Incident, decision or permit"), required=False, max_length=200)

    def clean_environment(self) -> str:
        """Only one that exists."""
        return existing_environment(self.cleaned_data["environment"])

    def clean_model(self) -> str:
        """Only one that exists."""
        name: str = self.cleaned_data["model"]
        if name and not Model.objects.filter(name=name).exists():
            raise forms.ValidationError(gettext("There is no model “%(name)s”.") % {"name": name[:128]})
        return name

    def clean(self) -> dict[str, Any]:
        """With a period that is one."""
        values = dict(super().clean() or {})
        must_be_in_order(self, values, "since", "until")
        return values

    def rows(self) -> QuerySet[Deployment]:
        """Newest first. A deployment is in a period when it served on one of its days."""
        asked, rows = self.cleaned_data, Deployment.objects.with_names()
        for name, field in (("model", "model__name"), ("environment", "environment__slug"), ("kind", "kind")):
            if asked[name]:
                rows = rows.filter(**{field: asked[name]})
        if asked["strategy"]:
            rows = rows.filter(strategy=asked["strategy"])
        if asked["state"]:
            rows = rows.filter(until__isnull=asked["state"] == "serving")
        if asked["since"]:
            first = datetime.combine(asked["since"], time(), UTC)
            rows = rows.filter(Q(until__isnull=True) | Q(until__gte=first))
        if asked["until"]:
            rows = rows.filter(since__lt=datetime.combine(asked["until"], time(), UTC) + timedelta(days=1))
        if words := asked["q"]:
            rows = rows.filter(Q(incident__icontains=words) | Q(decision_id=words) | Q(permit_id=words))
        return rows

    def cells(self, row: Deployment) -> list[Cell]:
        """The whole record."""
        return [
            row.pk,
            row.model.name,
            row.version.number,
            row.environment.slug,
            row.kind,
            row.strategy,
            row.weight,
            row.digest,
            moment_text(row.since),
            moment_text(row.until),
            row.decision_id,
            row.permit_id,
            row.actor_id,
            row.undoes_id or "",
            row.incident,
            row.reason,
        ]


def alone(query: Mapping[str, str]) -> None:
    """Raise ``BadInput`` when a filter stands beside ``as_of``: the log answers what served then, all of it."""
    if query.get("as_of") and any(query.get(name) for name in DeploymentFilter.base_fields):
        raise BadInput(
            gettext("as_of answers what served then, all of it: leave the filters out."), code="as_of.filters"
        )
