"""Transfer safeguards: what makes data in another country lawful, and until when."""

from __future__ import annotations

from datetime import UTC, datetime, time

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from audit.refusals import Refusal
from governance import queries, transfers
from governance.models.transfer import SafeguardType, TransferSafeguard
from governance.models.user import User


class SafeguardForm(forms.Form):
    """A mechanism with its document and its end. Dates end with the day in UTC."""

    reference = forms.SlugField(
        label=gettext_lazy("Reference"), max_length=40, help_text=gettext_lazy("For example TS-1.")
    )
    type = forms.ChoiceField(label=gettext_lazy("Mechanism"), choices=SafeguardType.choices)
    document = forms.CharField(label=gettext_lazy("Document"), max_length=300)
    subjects = forms.CharField(
        label=gettext_lazy("Covers"),
        help_text=gettext_lazy("Subjects, separated by spaces: dataset:loans-2026q3 environment:dr-frankfurt"),
    )
    regions = forms.CharField(
        label=gettext_lazy("In the regions"), help_text=gettext_lazy("provider:region, separated by spaces")
    )
    expires = forms.DateField(label=gettext_lazy("Ends on"), widget=forms.DateInput(attrs={"type": "date"}))
    assessed = forms.DateField(
        label=gettext_lazy("Transfer risk assessed on"), required=False, widget=forms.DateInput(attrs={"type": "date"})
    )


@require_http_methods(["GET", "HEAD", "POST"])
def transfer_list(request: HttpRequest) -> HttpResponse:
    """Every safeguard, and the form that proposes one."""
    user = _user(request)
    refusal: Refusal | None = None
    form = SafeguardForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            user.require("transfer.change")
            transfers.record(
                given["reference"],
                type=given["type"],
                document=given["document"],
                subjects=given["subjects"].split(),
                regions=given["regions"].split(),
                expires_at=datetime.combine(given["expires"], time.max, UTC).replace(microsecond=0),
                risk_assessment_at=datetime.combine(given["assessed"], time.min, UTC) if given["assessed"] else None,
                by=user.actor,
            )
        except Refusal as caught:
            refusal = caught
        else:
            messages.success(request, _("Recorded. A second person must approve it before it counts."))
            return redirect("governance:transfers")
    return _page(request, form, refusal)


@require_POST
def approve_transfer(request: HttpRequest, reference: str) -> HttpResponse:
    """Approve what somebody else recorded."""
    user = _user(request)
    try:
        user.require("transfer.change")
        transfers.approve(reference, reason=request.POST.get("reason", ""), by=user.actor)
    except Refusal as refusal:
        return _page(request, SafeguardForm(), refusal)
    messages.success(request, _("The safeguard counts from now on."))
    return redirect("governance:transfers")


def _page(request: HttpRequest, form: SafeguardForm, refusal: Refusal | None) -> HttpResponse:
    user = _user(request)
    rows = list(TransferSafeguard.objects.all())
    context = {
        "form": form,
        "refusal": refusal,
        "rows": rows,
        "now": timezone.now(),
        "names": queries.names({each for row in rows for each in (row.recorded_by, row.approved_by)}),
        "me": user.actor.id,
        "may": user.has_perm("transfer.change"),
    }
    status = refusal.status if refusal else 400 if form.is_bound else 200
    return render(request, "governance/transfer_list.html", context, status=status)


def _user(request: HttpRequest) -> User:
    user = request.user
    assert isinstance(user, User)  # noqa: S101  (LoginRequiredMiddleware)
    user.require("promotion.read")
    return user
