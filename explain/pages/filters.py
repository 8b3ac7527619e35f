"""The filters of the list of explanations: the address is its only state."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext as translated
from django.utils.translation import gettext_lazy as _

from audit.refusals import NotKnown
from explain import queries
from explain.models import ExplanationJob, Method, Standing, State
from registry.lists.base import ListFilter, any_of
from registry.models import Endpoint, Model
from registry.queries import version_by_subject


class ExplanationFilter(ListFilter):
    """Of which model or version, by which method, in which state, good for what, asked at which endpoint."""

    model = forms.CharField(label=_("Model"), max_length=128, required=False)
    version = forms.CharField(
        label=_("Version"),
        max_length=160,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "version:credit-scoring/2"}),
    )
    method = forms.ChoiceField(label=_("Method"), required=False, choices=any_of(*Method.choices))
    state = forms.ChoiceField(label=_("State"), required=False, choices=any_of(*State.choices))
    standing = forms.ChoiceField(label=_("Counts as"), required=False, choices=any_of(*Standing.choices))
    endpoint = forms.CharField(label=_("Endpoint"), max_length=128, required=False)

    def clean_model(self) -> str:
        """The name of a model that the registry has."""
        name = str(self.cleaned_data["model"]).strip()
        if name and not Model.objects.filter(name=name).exists():
            raise forms.ValidationError(translated("There is no model “%(name)s”.") % {"name": name})
        return name

    def clean_version(self) -> str:
        """The subject of a version that the registry has."""
        given = str(self.cleaned_data["version"]).strip()
        try:
            return version_by_subject(given).subject if given else ""
        except NotKnown as refusal:
            raise forms.ValidationError(refusal.sentence) from None

    def clean_endpoint(self) -> str:
        """The name of an endpoint that the registry has."""
        name = str(self.cleaned_data["endpoint"]).strip()
        if name and not Endpoint.objects.filter(name=name).exists():
            raise forms.ValidationError(translated("There is no endpoint “%(name)s”.") % {"name": name})
        return name

    def found(self) -> QuerySet[ExplanationJob]:
        """What matches, newest first, with what each is about."""
        chosen = dict[str, Any](self.chosen)
        rows = queries.jobs()
        if model := chosen.pop("model", ""):
            rows = rows.filter(version__model__name=model)
        if version := chosen.pop("version", ""):
            rows = rows.filter(version=version_by_subject(version))
        if endpoint := chosen.pop("endpoint", ""):
            rows = rows.filter(endpoint__name=endpoint)
        return rows.filter(**chosen)

    def rows(self) -> QuerySet[ExplanationJob]:
        """The same: the database leaves out the joins where it only counts."""
        return self.found()
