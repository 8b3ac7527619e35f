"""The emergency: back to a version that served before, in one form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from audit.refusals import Refusal
from governance import rollouts
from governance.pages.person import signed_in
from registry import environments, versions
from registry.aliases import SIGNED_TIERS
from registry.deployments import serving
from registry.models import Deployment, Environment, Model
from registry.pages.refused import at_fields


class RollbackForm(forms.Form):
    """Back to which version, why, for which incident."""

    version = forms.TypedChoiceField(label=gettext_lazy("Back to"), coerce=int)
    incident = forms.CharField(label=gettext_lazy("Incident"), max_length=200)
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))
    alias = forms.ChoiceField(
        label=gettext_lazy("Alias"),
        required=False,
        help_text=gettext_lazy("Pointed at that version too; whoever loads the model by it goes back with it."),
    )

    def __init__(self, *args: Any, choices: list[tuple[int, str]], aliases: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["version"]
        assert isinstance(field, forms.TypedChoiceField)  # noqa: S101  (for the type checker)
        field.choices = choices
        movable = self.fields["alias"]
        assert isinstance(movable, forms.ChoiceField)  # noqa: S101  (for the type checker)
        movable.choices = [("", _("leave all where they are")), *((name, name) for name in aliases)]
        if not aliases:
            del self.fields["alias"]


@require_http_methods(["GET", "HEAD", "POST"])
def rollback(request: HttpRequest, environment: str, model: str) -> HttpResponse:
    """Roll ``model`` in ``environment`` back. The rules of today are asked; nobody has to sign."""
    user = signed_in(request, "promotion.read")
    place, what = environments.find_environment(environment), versions.find_model(model)
    refusal: Refusal | None = None
    form = RollbackForm(request.POST or None, choices=_targets(place, what), aliases=_aliases(place, what))
    if request.method == "POST" and form.is_valid():
        try:
            user.require("rollback.record")
            rollouts.record_rollback(
                versions.resolve(model, form.cleaned_data["version"]),
                place,
                reason=form.cleaned_data["reason"],
                incident=form.cleaned_data["incident"],
                alias=form.cleaned_data.get("alias", ""),
                by=user.actor,
            )
        except Refusal as caught:
            refusal = caught
        else:
            messages.success(request, _("The rollback is recorded."))
            return redirect("registry:environment", environment)
    context = {
        "form": form,
        "refusal": at_fields(form, refusal),
        "environment": place,
        "model": what,
        "serving": serving(place, what),
        "may": user.has_perm("rollback.record"),
    }
    status = refusal.status if refusal else 400 if form.is_bound else 200
    return render(request, "governance/rollback_request.html", context, status=status)


def _aliases(environment: Environment, model: Model) -> list[str]:
    """Names of the model's aliases, where a rollback may move one."""
    return list(model.aliases.values_list("name", flat=True)) if environment.tier in SIGNED_TIERS else []


def _targets(environment: Environment, model: Model) -> list[tuple[int, str]]:
    """Every other version that served there, the last one first."""
    rows = Deployment.objects.with_names().filter(environment=environment, model=model).order_by("-since", "-id")
    serves = {row.version_id for row in rows if row.until is None}
    found = {row.version.number: row.version.label for row in rows if row.version_id not in serves}
    return list(found.items())
