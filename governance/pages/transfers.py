"""Transfer safeguards: what makes data in another country lawful, and until when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from audit import queries as log
from audit.actors import Actor
from audit.refusals import Refusal
from governance import halting, queries, second_person, transfers
from governance.api.transfers import csv_of
from governance.models.transfer import HaltState, SafeguardStatus, TransferHalt, TransferSafeguard
from governance.models.user import User
from governance.pages.person import signed_in
from governance.pages.stepping import step
from governance.reliance import Reliance, reliance

#: Deployments that a page decides again, newest first; the API decides all.
MOST_DECIDED = 100


@require_safe
def transfer_list(request: HttpRequest) -> HttpResponse:
    """Every safeguard: what counts or waits, what ends first on top, and below what is over. A fixed number of
    queries.
    """
    signed_in(request, "promotion.read")
    now = timezone.now()
    rows = list(TransferSafeguard.objects.defer("assessment").order_by("expires_at", "reference"))
    current = [row for row in rows if row.status != SafeguardStatus.REVOKED and row.expires_at > now]
    found = reliance(current, most=MOST_DECIDED)
    context = {
        "sentence": _standing(current, found),
        "current": [(row, found.falling.get(row.reference, ())) for row in current],
        "over": [row for row in reversed(rows) if row not in current],
        "found": found,
        "halts": list(TransferHalt.objects.exclude(state=HaltState.DONE).select_related("safeguard")),
        "now": now,
    }
    return render(request, "governance/transfer_list.html", context)


def _standing(current: Sequence[TransferSafeguard], found: Reliance) -> str:
    """The first sentence: what counts, what ends next and what would fall with it."""
    counting = [row for row in current if row.status == SafeguardStatus.ACTIVE]
    waiting = len(current) - len(counting)
    said = []
    if counting:
        text = ngettext("%(n)d safeguard counts.", "%(n)d safeguards count.", len(counting))
        said.append(text % {"n": len(counting)})
        first = counting[0]
        said.append(next_end(first.reference, first.expires_at, len(found.falling.get(first.reference, ()))))
    else:
        said.append(_("No safeguard counts now."))
    if waiting:
        text = ngettext("%(n)d waits for a second person.", "%(n)d wait for a second person.", waiting)
        said.append(text % {"n": waiting})
    return " ".join(said)


def next_end(reference: str, at: datetime, falling: int) -> str:
    """What ends next, and how many deployments would fall with it."""
    told = {"reference": reference, "day": f"{at.astimezone(UTC):%Y-%m-%d}", "n": falling}
    if not falling:
        return _("%(reference)s ends next, on %(day)s, and nothing that serves would fall with it.") % told
    return (
        ngettext(
            "%(reference)s ends next, on %(day)s, and %(n)d deployment that serves would fall with it.",
            "%(reference)s ends next, on %(day)s, and %(n)d deployments that serve would fall with it.",
            falling,
        )
        % told
    )


@require_safe
def transfer_file(request: HttpRequest) -> HttpResponseBase:
    """Every safeguard as CSV."""
    signed_in(request, "promotion.read")
    return csv_of()


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


@require_POST
def take_halt(request: HttpRequest, reference: str) -> HttpResponse:
    """Become the owner of halting what relied on it."""

    def take(named: str, *, reason: str, by: Actor) -> None:
        halting.take(named, by=by)

    return _step(request, reference, take, _("It is yours now."))


@require_POST
def finish_halt(request: HttpRequest, reference: str) -> HttpResponse:
    """Put on record that the transfer was halted and who was notified."""
    recipients = request.POST.get("recipients", "").splitlines()

    def finish(named: str, *, reason: str, by: Actor) -> None:
        halting.done(named, reason=reason, recipients=[each for each in recipients if each.strip()], by=by)

    return _step(request, reference, finish, _("On record: the transfer is halted and its recipients are notified."))


def _step(request: HttpRequest, reference: str, do: Callable[..., object], said: str) -> HttpResponse:
    def act(user: User) -> None:
        user.require("transfer.change")
        do(reference, reason=request.POST.get("reason", ""), by=user.actor)

    return step(request, reference, act, said, page=_page, to="governance:transfer")


def _page(request: HttpRequest, reference: str, refusal: Refusal | None = None) -> HttpResponse:
    user = signed_in(request, "promotion.read")
    row = transfers.find(reference)
    found = reliance([row], most=MOST_DECIDED)
    halt = TransferHalt.objects.filter(safeguard=row).first()
    people = {row.recorded_by, row.approved_by, row.revoked_by} | ({halt.owner, halt.done_by} if halt else set())
    context = {
        "row": row,
        "found": found,
        "falling": [
            (each.deployment, str(each.blocking[0]["message"]), str(each.blocking[0]["rule"]))
            for each in found.falling.get(row.reference, ())
        ],
        "halt": halt,
        "given": request.POST if refusal else {},
        "now": timezone.now(),
        "refusal": refusal,
        "sentence": conclusion(row),
        "assessment": [
            (letter, title, row.assessment[letter])
            for letter, title in transfers.ELEMENT_TITLES.items()
            if letter in row.assessment
        ],
        "history": log.history(row.subject, limit=20),
        "names": queries.names(people),
        **_allowed(user, row, user.actor),
    }
    return render(request, "governance/transfer_detail.html", context, status=refusal.status if refusal else 200)


def _allowed(user: User, row: TransferSafeguard, actor: Actor) -> dict[str, Any]:
    """What of a safeguard is still open, and whether this person may do it."""
    over = row.expires_at <= timezone.now()
    return {
        "may": user.has_perm("transfer.change"),
        "me": actor.id,
        "mine": second_person.is_first(row.recorded_by, actor),
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
