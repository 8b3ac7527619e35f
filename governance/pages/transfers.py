"""Transfer safeguards: what makes data in another country lawful, and until when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from audit import queries as log
from audit.actors import Actor
from audit.refusals import Refusal
from governance import queries, transfers
from governance.models.transfer import TransferSafeguard
from governance.models.user import User


@require_safe
def transfer_list(request: HttpRequest) -> HttpResponse:
    """Every safeguard, those that end first on top."""
    user = _user(request)
    rows = list(TransferSafeguard.objects.order_by("expires_at", "reference"))
    context = {
        "rows": rows,
        "now": timezone.now(),
        "names": queries.names({each for row in rows for each in (row.recorded_by, row.approved_by)}),
        "may": user.has_perm("transfer.change"),
    }
    return render(request, "governance/transfer_list.html", context)


@require_safe
def transfer(request: HttpRequest, reference: str) -> HttpResponse:
    """One safeguard, with what may be done about it."""
    return _page(request, reference)


@require_POST
def approve_transfer(request: HttpRequest, reference: str) -> HttpResponse:
    """Approve what somebody else recorded."""
    return _step(request, reference, transfers.approve, _("The safeguard counts from now on."))


@require_POST
def revoke_transfer(request: HttpRequest, reference: str) -> HttpResponse:
    """End it, with a reason."""
    return _step(request, reference, transfers.revoke, _("Revoked. What serves is being decided again."))


def _step(request: HttpRequest, reference: str, do: Callable[..., object], said: str) -> HttpResponse:
    user = _user(request)
    try:
        user.require("transfer.change")
        do(reference, reason=request.POST.get("reason", ""), by=user.actor)
    except Refusal as refusal:
        return _page(request, reference, refusal)
    messages.success(request, said)
    return redirect("governance:transfer", reference)


def _page(request: HttpRequest, reference: str, refusal: Refusal | None = None) -> HttpResponse:
    user = _user(request)
    row = transfers.find(reference)
    context = {
        "row": row,
        "now": timezone.now(),
        "refusal": refusal,
        "sentence": conclusion(row),
        "assessment": [
            (letter, title, row.assessment[letter])
            for letter, title in transfers.ELEMENT_TITLES.items()
            if letter in row.assessment
        ],
        "history": log.history(row.subject, limit=20),
        "names": queries.names({row.recorded_by, row.approved_by, row.revoked_by}),
        **_allowed(user, row, user.actor),
    }
    return render(request, "governance/transfer_detail.html", context, status=refusal.status if refusal else 200)


def _allowed(user: User, row: TransferSafeguard, actor: Actor) -> dict[str, Any]:
    """What of a safeguard is still open, and whether this person may do it."""
    over = row.expires_at <= timezone.now()
    return {
        "may": user.has_perm("transfer.change"),
        "mine": row.recorded_by == actor.id,
        "over": over,
        "can_approve": row.status == "proposed" and not over,
        "can_revoke": row.status in ("proposed", "active"),
    }


def conclusion(row: TransferSafeguard) -> str:
    """The first sentence of a safeguard's page."""
    told = {"reference": row.reference}
    if row.status == "revoked":
        return _("%(reference)s was revoked and makes nothing lawful.") % told
    if row.expires_at <= timezone.now():
        return _("%(reference)s has ended and makes nothing lawful.") % told
    if row.status == "proposed":
        return _("%(reference)s makes nothing lawful yet: a second person must approve it.") % told
    return _("%(reference)s makes what it names lawful until it ends.") % told


def _user(request: HttpRequest) -> User:
    user = request.user
    assert isinstance(user, User)  # noqa: S101  (LoginRequiredMiddleware)
    user.require("promotion.read")
    return user
