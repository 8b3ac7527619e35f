"""The forms that change what is said about a data set or a model, and that confirm it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from audit.refusals import NotPermitted, Refusal
from registry import datasets, versions
from registry.models import FACTS, Classification, Dataset, LawfulBasis, Model, Perimeter, Risk
from registry.pages.refused import at_fields

_UNSAID = ("", gettext_lazy("nobody has said"))


class DatasetForm(forms.Form):
    """All facts of a data set. Who may not confirm cannot touch what is confirmed."""

    classification = forms.ChoiceField(label=gettext_lazy("Class"), choices=Classification.choices)
    subjects = forms.CharField(
        label=gettext_lazy("People in"),
        required=False,
        max_length=2000,
        help_text=gettext_lazy("Country codes (SA, AE, DE) or AE-ADGM, AE-DIFC, separated by commas. Empty: unknown."),
    )
    regions = forms.CharField(
        label=gettext_lazy("Regions"),
        required=False,
        max_length=8000,
        help_text=gettext_lazy("Every copy, as provider:region, separated by commas. Empty: unknown."),
    )
    owner = forms.CharField(
        label=gettext_lazy("Owner"), required=False, max_length=200, help_text=gettext_lazy("A team or a person.")
    )
    perimeter = forms.ChoiceField(
        label=gettext_lazy("Perimeter"), required=False, choices=[_UNSAID, *Perimeter.choices]
    )
    lawful_basis = forms.ChoiceField(
        label=gettext_lazy("Lawful basis"),
        required=False,
        choices=[_UNSAID, *LawfulBasis.choices],
        help_text=gettext_lazy("The letters are those of GDPR article 6(1)."),
    )
    retention = forms.CharField(
        label=gettext_lazy("Retention"),
        required=False,
        max_length=400,
        help_text=gettext_lazy("For example: five years after the contract ends."),
    )
    provenance = forms.CharField(
        label=gettext_lazy("Provenance"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("Where the data came from and how. It stays in the log: write no names of people."),
    )
    confirmed_facts = forms.MultipleChoiceField(
        label=gettext_lazy("Confirmed"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("What you confirm is never overwritten by a claim of a program."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Needed when something that was confirmed changes."),
    )
    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)

    def __init__(self, *args: Any, dataset: Dataset, refused: str, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "initial": _initial(dataset)})
        self.dataset, self.may_confirm = dataset, not refused
        words = [(fact, Dataset.word_for(fact)) for fact in FACTS]
        field = self.fields["confirmed_facts"]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101  (for the type checker)
        field.choices = words
        if not refused:
            return
        field.disabled = True
        field.help_text = refused
        for fact in dataset.confirmed_facts:
            self.fields[fact].disabled = True
            self.fields[fact].help_text = _("It is confirmed: only who may confirm changes it.")

    @property
    def given(self) -> dict[str, Any]:
        """The facts that differ from what is stored, as ``datasets.state_dataset`` takes them."""
        values = {fact: self.cleaned_data[fact] for fact in FACTS}
        for fact in ("subjects", "regions"):
            values[fact] = [each for each in re.split(r"[,\s]+", values[fact]) if each]
        return {fact: value for fact, value in values.items() if value != getattr(self.dataset, fact)}


def _initial(dataset: Dataset) -> dict[str, Any]:
    found = {fact: getattr(dataset, fact) for fact in FACTS}
    found |= {fact: ", ".join(found[fact]) for fact in ("subjects", "regions")}
    return found | {"confirmed_facts": list(dataset.confirmed_facts), "seen": datasets.stamp(dataset)}


class ModelForm(forms.Form):
    """What is said about a model; its versions say the rest themselves."""

    title = forms.CharField(label=gettext_lazy("Title"), max_length=200)
    owner = forms.CharField(
        label=gettext_lazy("Owner"), max_length=200, help_text=gettext_lazy("Team or username that answers for it.")
    )
    contacts = forms.CharField(
        label=gettext_lazy("Contacts"),
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("Whom to ask, one a line."),
    )
    purpose = forms.CharField(label=gettext_lazy("Purpose"), max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))
    intended_use = forms.CharField(
        label=gettext_lazy("Intended use"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("For what and for whom it was made, and for what it was not."),
    )
    limits = forms.CharField(
        label=gettext_lazy("Limits"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=gettext_lazy("Where its answers may not be relied on."),
    )
    risk = forms.ChoiceField(label=gettext_lazy("Risk"), choices=Risk.choices)
    risk_reason = forms.CharField(
        label=gettext_lazy("Why this risk"), max_length=4000, widget=forms.Textarea(attrs={"rows": 3})
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason for the change"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)

    def __init__(self, *args: Any, model: Model, **kwargs: Any) -> None:
        said = {name: getattr(model, name) for name in (*versions.LIMITS, "risk", "risk_reason")}
        initial = {**said, "contacts": "\n".join(model.contacts), "seen": versions.stamp(model)}
        super().__init__(*args, **{**kwargs, "initial": initial})

    @property
    def given(self) -> dict[str, Any]:
        """What ``versions.change_model`` takes."""
        values = dict(self.cleaned_data)
        return {**values, "contacts": values["contacts"].splitlines()}


@require_http_methods(["GET", "HEAD", "POST"])
def dataset_change(request: HttpRequest, name: str) -> HttpResponse:
    """Change or confirm facts of a data set."""
    user: Any = request.user
    if not user.has_perm("dataset.confirm"):
        user.require("registry.change")
    dataset = datasets.find_dataset(name)
    form = DatasetForm(request.POST or None, dataset=dataset, refused=_why_not(user, "dataset.confirm"))

    def change() -> object:
        return datasets.state_dataset(
            dataset,
            form.given,
            confirmed_facts=form.cleaned_data["confirmed_facts"] if form.may_confirm else None,
            may_confirm=lambda: user.require("dataset.confirm"),
            seen=form.cleaned_data["seen"],
            reason=form.cleaned_data["reason"],
            by=user.actor,
        )

    words = {
        "action": _("Change or confirm"),
        "list": {"url": reverse("registry:datasets"), "label": _("Data sets")},
        "lede": _("What a program says is a claim; what you confirm stays until somebody who may confirm changes it."),
    }
    return _answer(request, form, change, dataset, words)


@require_http_methods(["GET", "HEAD", "POST"])
def model_change(request: HttpRequest, name: str) -> HttpResponse:
    """Change what is said about a model."""
    user: Any = request.user
    user.require("registry.change")
    model = versions.find_model(name)
    form = ModelForm(request.POST or None, model=model)

    def change() -> object:
        return versions.change_model(model, **form.given, by=user.actor)

    words = {
        "action": _("Change"),
        "list": {"url": reverse("registry:models"), "label": _("Models")},
        "lede": _(
            "What is said about a model stands on its card; the change stays in the log with what was said before."
        ),
    }
    return _answer(request, form, change, model, words)


def _why_not(user: Any, action: str) -> str:
    """Why the person may not do ``action``; empty when they may."""
    try:
        user.require(action)
    except NotPermitted as refusal:
        return refusal.sentence
    return ""


def _answer(
    request: HttpRequest,
    form: forms.Form,
    change: Callable[[], object],
    subject: Dataset | Model,
    words: Mapping[str, Any],
) -> HttpResponse:
    """Do it and go back to the subject's page, or show the form with what was wrong and the page's ``words``."""
    refusal: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            change()
        except Refusal as caught:
            refusal = caught
        else:
            messages.success(request, _("Recorded."))
            return redirect(subject.get_absolute_url())
    status = refusal.status if refusal else 400 if form.is_bound else 200
    context = {**words, "form": form, "refusal": at_fields(form, refusal), "subject": subject}
    return render(request, "registry/change.html", context, status=status)
