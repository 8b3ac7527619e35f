"""The lists of what is wrong: incidents, and findings of the reconciler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar

from django import forms
from django.db.models import F, Func, IntegerField, Q, QuerySet
from django.utils.translation import gettext_lazy as _

from registry import finding_wording
from registry.lists.base import Cell, ListFilter, any_of, existing_environment, moment_text, must_be_in_order
from registry.models import Finding, FindingKind, FindingState, Incident, IncidentState

_DAY = forms.DateInput(attrs={"type": "date"})


class IncidentFilter(ListFilter):
    """Incidents by words, state, what they are about and when they were opened (days are UTC, both ends belong)."""

    columns: ClassVar[tuple[str, ...]] = (
        "incident",
        "title",
        "about",
        "unlawful_since",
        "state",
        "reason",
        "opened_by",
        "opened_at",
        "frozen_by",
        "frozen_at",
    )
    columns += ("frozen_reason", "versions_held", "ended_by", "ended_at", "ended_reason")

    KINDS = (
        ("dataset", _("a data set")),
        ("run", _("a run")),
        ("version", _("a version")),
        ("model", _("a model")),
        ("region", _("a region")),
        ("library", _("a library")),
    )

    q = forms.CharField(label=_("Number or words"), required=False, max_length=200)
    state = forms.ChoiceField(label=_("State"), required=False, choices=any_of(*IncidentState.choices))
    about = forms.ChoiceField(label=_("About"), required=False, choices=any_of(*KINDS))
    opened_from = forms.DateField(label=_("Opened from"), required=False, widget=_DAY)
    opened_to = forms.DateField(label=_("Opened to"), required=False, widget=_DAY)

    def clean(self) -> dict[str, Any]:
        """With a period that is one."""
        values = dict(super().clean() or {})
        must_be_in_order(self, values, "opened_from", "opened_to")
        return values

    def found(self) -> QuerySet[Incident]:
        """The incidents that match, newest first, without the versions that they held."""
        asked, rows = self.cleaned_data, Incident.objects.defer("held")
        if words := asked["q"]:
            rows = rows.filter(Q(reference__icontains=words) | Q(title__icontains=words) | Q(root__icontains=words))
        if asked["state"]:
            rows = rows.filter(state=asked["state"])
        if asked["about"]:
            rows = rows.filter(root__startswith=f"{asked['about']}:")
        if asked["opened_from"]:
            rows = rows.filter(opened_at__gte=datetime.combine(asked["opened_from"], time(), UTC))
        if asked["opened_to"]:
            rows = rows.filter(opened_at__lt=datetime.combine(asked["opened_to"], time(), UTC) + timedelta(days=1))
        return rows

    def rows(self) -> QuerySet[Incident]:
        """With how many versions each held when it was frozen."""
        length = Func(F("held"), function="jsonb_array_length", output_field=IntegerField())
        return self.found().annotate(versions_held=length)

    def cells(self, row: Any) -> list[Cell]:
        """The whole record; the versions that it held are counted."""
        return [
            row.reference,
            row.title,
            row.root,
            moment_text(row.since),
            row.state,
            row.reason,
            row.opened_by,
            moment_text(row.opened_at),
            row.frozen_by,
            moment_text(row.frozen_at),
            row.frozen_reason,
            row.versions_held,
            row.ended_by,
            moment_text(row.ended_at),
            row.ended_reason,
        ]


class FindingFilter(ListFilter):
    """Findings by whether the difference is still there, who has them, what differs, where, and words."""

    columns: ClassVar[tuple[str, ...]] = (
        "finding",
        "kind",
        "sentence",
        "concerns",
        "version",
        "environment",
        "state",
        "still_there",
        "owner",
        "first_seen",
    )
    columns += ("last_seen", "times_seen", "closed_by", "closed_at", "reason", "gone", "on_record", "seen")

    #: What the page shows when its address says nothing: as few as possible that wait for somebody.
    USUAL = "standing"
    SHOWN = ((USUAL, _("still there")), ("gone", _("gone")))

    show = forms.ChoiceField(label=_("Difference"), required=False, choices=any_of(*SHOWN))
    state = forms.ChoiceField(label=_("State"), required=False, choices=any_of(*FindingState.choices))
    kind = forms.ChoiceField(label=_("What differs"), required=False, choices=any_of(*FindingKind.choices))
    environment = forms.CharField(label=_("Environment"), required=False, max_length=128)
    q = forms.CharField(label=_("Endpoint, alias or version"), required=False, max_length=200)

    @classmethod
    def on_page(cls, query: Mapping[str, str]) -> FindingFilter:
        """The form of the page: what still stands, unless the address says otherwise."""
        return cls(query if "show" in query else {**{name: query[name] for name in query}, "show": cls.USUAL})

    @property
    def narrowed(self) -> bool:
        """Whether more was asked for than one of the two halves of all findings."""
        return bool(self.chosen.keys() - {"show"})

    def clean_environment(self) -> str:
        """Only one that exists, or that a finding still names."""
        value: str = self.cleaned_data["environment"]
        return value if value and Finding.objects.filter(environment=value).exists() else existing_environment(value)

    def found(self) -> QuerySet[Finding]:
        """The findings that match, newest first."""
        asked, rows = self.cleaned_data, Finding.objects.all()
        if asked["show"]:
            rows = rows.filter(gone__isnull=asked["show"] == self.USUAL)
        for name in ("state", "kind", "environment"):
            if asked[name]:
                rows = rows.filter(**{name: asked[name]})
        if words := asked["q"]:
            rows = rows.filter(Q(concerns__icontains=words) | Q(version__icontains=words))
        return rows

    def rows(self) -> QuerySet[Finding]:
        """With when each was last seen."""
        return self.found().select_related("seen")

    def cells(self, row: Finding) -> list[Cell]:
        """The whole record, and its sentence in the reader's language."""
        return [
            row.pk,
            row.kind,
            finding_wording.sentence(row),
            row.concerns,
            row.version,
            row.environment,
            row.state,
            "no" if row.gone else "yes",
            row.owner,
            moment_text(row.first_seen),
            moment_text(row.seen.at),
            row.seen.times,
            row.closed_by,
            moment_text(row.closed_at),
            row.reason,
            moment_text(row.gone),
            _text(row.recorded),
            _text(row.observed),
        ]


def _text(facts: Mapping[str, Any]) -> str:
    """What is on record or was seen, as JSON; empty for nothing."""
    return json.dumps(facts, ensure_ascii=False, sort_keys=True) if facts else ""
