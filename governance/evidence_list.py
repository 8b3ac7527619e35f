"""The filters of the list of evidence, for page and API alike."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from audit.refusals import NotKnown
from governance.models.evidence import Evidence, EvidenceState, EvidenceType
from registry import queries
from registry.lists.base import ListFilter, any_of, existing_environment


class EvidenceFilter(ListFilter):
    """Of which version, of which type, for which environment (which also finds what is for every one)."""

    version = forms.CharField(
        label=_("Version"),
        max_length=160,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "version:credit-scoring/2"}),
    )
    type = forms.ChoiceField(label=_("Type"), required=False, choices=any_of(*EvidenceType.choices))
    environment = forms.CharField(label=_("Environment"), max_length=128, required=False)
    state = forms.ChoiceField(label=_("State"), required=False, choices=any_of(*EvidenceState.choices))

    def clean_version(self) -> str:
        """The subject of a version that the registry has."""
        given = self.cleaned_data["version"].strip()
        if not given:
            return ""
        try:
            return queries.version_by_subject(given).subject
        except NotKnown as refusal:
            raise forms.ValidationError(refusal.sentence) from None

    def clean_environment(self) -> str:
        """The slug of one that exists."""
        return existing_environment(self.cleaned_data["environment"].strip())

    def found(self) -> QuerySet[Evidence]:
        """What matches, newest first."""
        chosen = dict[str, Any](self.chosen)
        rows = Evidence.objects.all()
        if version := chosen.pop("version", ""):
            name, _slash, number = version.removeprefix("version:").rpartition("/")
            rows = rows.filter(version__model__name=name, version__number=int(number))
        if place := chosen.pop("environment", ""):
            rows = rows.filter(environment__slug=place) | rows.filter(environment__isnull=True)
        return rows.filter(**chosen)

    def rows(self) -> QuerySet[Evidence]:
        """The same with what each is about."""
        return self.found().select_related("version__model", "environment", "signed_by")
