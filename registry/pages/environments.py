"""The forms that record an environment and say where its data lie."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from audit.refusals import Refusal
from registry import environments
from registry.models import Environment, Perimeter, Tier
from registry.pages.refused import at_fields

#: What a person writes where there is none: an empty field says nothing.
NONE = "none"
_PLACES = gettext_lazy("Every one as provider:region, separated by commas; “none” when there is none.")


class PlacesForm(forms.Form):
    """Where else live data lie and who looks at them. An empty field is refused: it may mean none, or not known."""

    backups = forms.CharField(label=gettext_lazy("Backups in"), max_length=8000, help_text=_PLACES)
    support_access = forms.CharField(
        label=gettext_lazy("Support access from"),
        max_length=2000,
        help_text=gettext_lazy(
            "Countries from which people can look at live data, as codes (SA, AE, DE) or AE-ADGM, AE-DIFC, QA-QFC,"
            " separated by commas; “none” when nobody can."
        ),
    )
    explanation_workers = forms.CharField(
        label=gettext_lazy("Explanation workers in"), max_length=8000, help_text=_PLACES
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("backups", "support_access", "explanation_workers"):
            self.fields[name].error_messages["required"] = _("Name them, or write “none”: what nobody says is unknown.")

    def listed(self, name: str) -> list[str]:
        """What was written in a field; empty for «none»."""
        text = str(self.cleaned_data[name]).strip()
        return [] if text.lower() == NONE else [each for each in re.split(r"[,\s]+", text) if each]


class EnvironmentForm(PlacesForm):
    """Everything about a new environment."""

    slug = forms.CharField(label=gettext_lazy("Name in addresses"), max_length=128, help_text="prod-uae")
    name = forms.CharField(label=gettext_lazy("Name"), max_length=200)
    tier = forms.ChoiceField(label=gettext_lazy("Tier"), choices=Tier.choices)
    perimeter = forms.ChoiceField(label=gettext_lazy("Perimeter"), choices=Perimeter.choices)
    regions = forms.CharField(
        label=gettext_lazy("Serves in"),
        max_length=8000,
        help_text=gettext_lazy("Every region as provider:region, separated by commas."),
    )
    log_sinks = forms.CharField(
        label=gettext_lazy("Inference logs in"),
        max_length=8000,
        help_text=gettext_lazy("Every region as provider:region, separated by commas."),
    )
    field_order = ("slug", "name", "tier", "perimeter", "regions", "log_sinks")


@require_http_methods(["GET", "HEAD", "POST"])
def environment_register(request: HttpRequest) -> HttpResponse:
    """Record an environment with every place that its data reach."""
    user: Any = request.user
    user.require("registry.change")
    form = EnvironmentForm(request.POST or None)

    def register() -> Environment:
        given = form.cleaned_data
        return environments.register_environment(
            given["slug"],
            name=given["name"],
            tier=given["tier"],
            regions_served=form.listed("regions"),
            perimeter=given["perimeter"],
            log_sinks=form.listed("log_sinks"),
            backups=form.listed("backups"),
            support_access=form.listed("support_access"),
            explanation_workers=form.listed("explanation_workers"),
            by=user.actor,
        )

    return _answer(request, form, register, None)


@require_http_methods(["GET", "HEAD", "POST"])
def environment_change(request: HttpRequest, slug: str) -> HttpResponse:
    """Say where the backups of an environment lie, who can look at it, and where its explanations are computed."""
    user: Any = request.user
    user.require("registry.change")
    environment = environments.find_environment(slug)
    said = {name: getattr(environment, name) for name in PlacesForm.base_fields}
    initial = {name: "" if each is None else ", ".join(each) or NONE for name, each in said.items()}
    form = PlacesForm(request.POST or None, initial=initial)

    def change() -> Environment:
        return environments.change_environment(
            environment,
            backups=form.listed("backups"),
            support_access=form.listed("support_access"),
            explanation_workers=form.listed("explanation_workers"),
            by=user.actor,
        )

    return _answer(request, form, change, environment)


def _answer(
    request: HttpRequest, form: PlacesForm, do: Callable[[], Environment], environment: Environment | None
) -> HttpResponse:
    """Do it and go to the environment's page, or show the form with what was wrong."""
    refusal: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            done = do()
        except Refusal as caught:
            refusal = caught
        else:
            messages.success(request, _("Recorded."))
            return redirect(done.get_absolute_url())
    status = refusal.status if refusal else 400 if form.is_bound else 200
    context = {"form": form, "refusal": at_fields(form, refusal), "environment": environment}
    return render(request, "registry/environment_form.html", context, status=status)
