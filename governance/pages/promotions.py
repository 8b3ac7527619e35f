"""The list of promotions, and the form that requests one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from audit.refusals import BadInput, Refusal
from governance import promotions, queries
from governance.models.promotion import PromotionState
from governance.pages.person import signed_in
from registry import queries as registry_queries
from registry.models import Environment, ModelVersion, Strategy
from registry.pages.paging import page_of
from registry.pages.refused import at_fields

PER_PAGE = 50


class RequestForm(forms.Form):
    """Which version, where, how, and why."""

    version = forms.ChoiceField(label=gettext_lazy("Version"))
    environment = forms.ModelChoiceField(
        label=gettext_lazy("Environment"),
        queryset=Environment.objects.all(),
        to_field_name="slug",
        empty_label=gettext_lazy("choose one"),
    )
    strategy = forms.ChoiceField(label=gettext_lazy("Rollout"), choices=Strategy.choices, initial=Strategy.ALL_AT_ONCE)
    weight = forms.IntegerField(
        label=gettext_lazy("Share of the traffic in percent"),
        min_value=0,
        max_value=100,
        required=False,
        help_text=gettext_lazy("For strategies that share: canary, A/B, bandit, champion-challenger."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Why this version should serve there"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        newest = ModelVersion.objects.select_related("model").order_by("model__name", "-number")[:500]
        field = self.fields["version"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  (for the type checker)
        field.choices = [(row.subject, row.label) for row in newest]


@require_safe
def promotion_list(request: HttpRequest) -> HttpResponse:
    """Newest first, by state when asked. Raises BadInput for a state or page that does not exist."""
    signed_in(request).require("promotion.read")
    state = request.GET.get("state", "")
    if state and state not in PromotionState.values:
        raise BadInput(
            _("There is no state “%(state)s”; the states are %(known)s.")
            % {"state": state[:40], "known": ", ".join(PromotionState.values)},
            code="promotion.state",
        )
    page = page_of(queries.promotions(state=state), request, PER_PAGE)
    context = {
        "page": page,
        "state": state,
        "states": PromotionState.choices,
        "names": queries.names(row.requested_by for row in page.object_list),
    }
    return render(request, "governance/promotion_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def request_promotion(request: HttpRequest) -> HttpResponse:
    """Ask; the decision is made at once and shown on the promotion's page."""
    user = signed_in(request)
    user.require("promotion.read")
    refusal: Refusal | None = None
    given = {name: request.GET.get(name) for name in ("version", "environment", "strategy") if name in request.GET}
    form = RequestForm(request.POST or None, initial=given)
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        try:
            user.require("promotion.request")
            plan = {"strategy": asked["strategy"]}
            if asked["weight"] is not None:
                plan["weight"] = asked["weight"]
            promotion = promotions.request(
                registry_queries.version_by_subject(asked["version"]),
                asked["environment"],
                plan=plan,
                reason=asked["reason"],
                by=user.actor,
            )
        except Refusal as caught:
            refusal = caught
        else:
            messages.success(request, _("You requested this promotion."))
            return redirect("governance:promotion", promotion.pk)
    status = refusal.status if refusal else 400 if form.is_bound else 200
    context = {"form": form, "refusal": at_fields(form, refusal), "may": user.has_perm("promotion.request")}
    return render(request, "governance/promotion_request.html", context, status=status)
