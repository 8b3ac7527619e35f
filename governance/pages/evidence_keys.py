"""Keys whose signatures on evidence are believed: the list, proposing one, and one with what may be done about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit import queries as log
from audit.refusals import Refusal
from governance import access, evidence_keys, queries
from governance.models.evidence import EvidenceType
from governance.models.evidence_key import EvidenceKey, EvidenceKeyState
from governance.models.roles import Action
from governance.models.user import User
from governance.pages.person import signed_in
from governance.pages.stepping import step
from registry.pages.refused import at_fields

#: The API lists all, page by page.
MOST = 200
_ORDER = (EvidenceKeyState.PROPOSED, EvidenceKeyState.ACTIVE, EvidenceKeyState.WITHDRAWN)


class KeyForm(forms.Form):
    """A public key, what rules call it and what it may sign."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=128,
        help_text=gettext_lazy("As rules call it, for example fairness-lab."),
    )
    public_key = forms.CharField(
        label=gettext_lazy("Public key"),
        max_length=4096,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5, "class": "mono", "dir": "ltr", "spellcheck": "false"}),
        help_text=gettext_lazy("PEM: Ed25519, or ECDSA on P-256 or P-384. Never paste a private key."),
    )
    types = forms.MultipleChoiceField(
        label=gettext_lazy("What it may sign"),
        choices=[(kind.value, kind.label) for kind in EvidenceType],
        widget=forms.CheckboxSelectMultiple,
    )


@require_safe
def key_list(request: HttpRequest) -> HttpResponse:
    """What waits for a second person, what is believed, what is not any more. A fixed number of queries."""
    user = signed_in(request, "promotion.read")
    rows = list(EvidenceKey.objects.annotate(pieces=Count("evidence"))[:MOST])
    rows.sort(key=lambda row: _ORDER.index(EvidenceKeyState(row.state)))
    context = {
        "sentence": _standing(rows),
        "rows": rows,
        "names": queries.names({row.proposed_by for row in rows} | {row.confirmed_by for row in rows}),
        "may": user.has_perm("policy.change"),
    }
    return render(request, "governance/evidence_key_list.html", context)


def _standing(rows: Sequence[EvidenceKey]) -> str:
    counts = {state: sum(1 for row in rows if row.state == state) for state in EvidenceKeyState}
    active, waiting = counts[EvidenceKeyState.ACTIVE], counts[EvidenceKeyState.PROPOSED]
    text = ngettext("The signatures of %(n)d key are believed.", "The signatures of %(n)d keys are believed.", active)
    said = [text % {"n": active} if active else _("No key is believed: no evidence counts as signed.")]
    if waiting:
        more = ngettext("%(n)d waits for a second person.", "%(n)d wait for a second person.", waiting)
        said.append(more % {"n": waiting})
    return " ".join(said)


@require_http_methods(["GET", "HEAD", "POST"])
def propose_key(request: HttpRequest) -> HttpResponse:
    """Ask that a key be believed."""
    user = signed_in(request, "promotion.read")
    form = KeyForm(request.POST or None)
    refusal: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            user.require("policy.change")
            row = evidence_keys.propose(**form.cleaned_data, by=user.actor)
        except Refusal as caught:
            refusal = at_fields(form, caught)
        else:
            messages.success(request, _("Proposed. A second person must compare its fingerprint and confirm it."))
            return redirect("governance:evidence_key", row.reference)
    may = user.has_perm("policy.change")
    why_not = "" if may else access.refusal_of(Action.POLICY_CHANGE, doing=_("Proposing a key of evidence"))
    context = {"form": form, "refusal": refusal, "why_not": why_not}
    status = refusal.status if refusal else 400 if form.is_bound else 200
    return render(request, "governance/evidence_key_propose.html", context, status=status)


@never_cache
@require_safe
def key_page(request: HttpRequest, reference: str) -> HttpResponse:
    """One key, with what may be done about it."""
    return _page(request, reference)


@never_cache
@require_POST
@sensitive_post_parameters("password")
def confirm_key(request: HttpRequest, reference: str) -> HttpResponse:
    """From now on its signatures count; the password again."""

    def confirm(user: User) -> None:
        evidence_keys.confirm_with_password(
            reference, password=request.POST.get("password", ""), user=user, request=request
        )

    said = _("Confirmed. What it signs counts as signed from now on.")
    return step(request, reference, confirm, said, page=_page, to="governance:evidence_key")


@never_cache
@require_POST
def withdraw_key(request: HttpRequest, reference: str) -> HttpResponse:
    """Nothing that it signed counts as signed any more."""

    def withdraw(user: User) -> None:
        user.require("policy.change")
        evidence_keys.withdraw(reference, reason=request.POST.get("reason", ""), by=user.actor)

    said = _("Withdrawn. What serves is being decided again.")
    return step(request, reference, withdraw, said, page=_page, to="governance:evidence_key")


def _page(request: HttpRequest, reference: str, refusal: Refusal | None = None) -> HttpResponse:
    user = signed_in(request, "promotion.read")
    row = evidence_keys.find(reference)
    pieces = row.evidence.select_related("version__model", "environment").order_by("-pk")
    proposed = row.state == EvidenceKeyState.PROPOSED
    context: dict[str, Any] = {
        "row": row,
        "sentence": conclusion(row),
        "types": [EvidenceType(each).label for each in row.types],
        "pieces": pieces[:50],
        "history": log.history(row.subject, limit=20),
        "names": queries.names({row.proposed_by, row.confirmed_by, row.withdrawn_by}),
        "refusal": refusal,
        "given": request.POST if refusal else {},
        "can_confirm": proposed,
        "why_not": evidence_keys.objection_to(row, user.actor) if proposed else "",
        "can_withdraw": row.state != EvidenceKeyState.WITHDRAWN,
        "may": user.has_perm("policy.change"),
        "may_not": access.refusal_of(Action.POLICY_CHANGE, doing=_("Withdrawing a key of evidence")),
    }
    return render(request, "governance/evidence_key.html", context, status=refusal.status if refusal else 200)


def conclusion(row: EvidenceKey) -> str:
    """The first sentence of a key's page."""
    told = {"name": row.name}
    if row.state == EvidenceKeyState.PROPOSED:
        return _("Nothing that %(name)s signs counts yet: a second person must confirm it.") % told
    if row.state == EvidenceKeyState.ACTIVE:
        return _("What %(name)s signs counts as signed.") % told
    return _("Nothing that %(name)s signed counts as signed any more.") % told
