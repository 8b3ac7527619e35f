"""Incidents as pages: what is wrong since when, what it reached, freeze and lift; and what anything reached."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, time

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit import queries as log
from audit.refusals import BadInput, NotKnown, Refusal
from governance import blast, freezing, queries
from governance.api.incidents import csv_of, xlsx_of
from governance.blast import BlastRadius
from governance.pages.person import signed_in
from registry import incidents
from registry.lists import IncidentFilter
from registry.models import Incident, IncidentState
from registry.pages.listing import searched
from registry.pages.refused import at_fields

#: Rows of each table; the files hold all of them.
SHOWN = 200


class IncidentForm(forms.Form):
    """What is wrong, and since which day (UTC)."""

    title = forms.CharField(
        label=gettext_lazy("What happened"),
        max_length=200,
        help_text=gettext_lazy("A few words without names of people; every denied gate check repeats them."),
    )
    root = forms.CharField(
        label=gettext_lazy("What it is about"),
        max_length=200,
        help_text=gettext_lazy(
            "dataset:…, run:…, version:…, model:…, region:… or library:…, for example dataset:loans-2026q3"
        ),
    )
    since = forms.DateField(label=gettext_lazy("Unlawful from"), widget=forms.DateInput(attrs={"type": "date"}))
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))


class ReasonForm(forms.Form):
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=4000, widget=forms.Textarea(attrs={"rows": 2}))


@require_http_methods(["GET", "HEAD", "POST"])
def incident_list(request: HttpRequest) -> HttpResponse:
    """Incidents, filters in the address, and the form that opens one."""
    user = signed_in(request, "promotion.read")
    form = IncidentForm(request.POST or None, initial={"root": request.GET.get("root", "")})
    refusal: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            user.require("incident.change")
            opened = incidents.open_incident(
                given["title"],
                root=given["root"],
                since=datetime.combine(given["since"], time.min, UTC),
                reason=given["reason"],
                by=user.actor,
            )
        except Refusal as caught:
            refusal = caught
        else:
            messages.success(request, _("The incident is on record. It holds nothing until it is frozen."))
            return redirect("governance:incident", opened.reference)
    filters = IncidentFilter(request.GET)
    page = searched(request, filters)
    context = {
        "form": form,
        "refusal": at_fields(form, refusal),
        "filters": filters,
        "filtered": page is not None and bool(filters.chosen),
        "address": filters.address,
        "page": page,
        "frozen": Incident.objects.filter(state=IncidentState.FROZEN).count(),
        "names": queries.names({row.opened_by for row in page.object_list} if page else set()),
        "may": user.has_perm("incident.change"),
    }
    status = refusal.status if refusal else 400 if form.is_bound or page is None else 200
    return render(request, "governance/incident_list.html", context, status=status)


@require_safe
def incident(request: HttpRequest, reference: str) -> HttpResponse:
    """One incident with what it reaches now."""
    return _page(request, reference)


@require_POST
def freeze(request: HttpRequest, reference: str) -> HttpResponse:
    """Hold what it reached and will reach."""
    return _step(request, reference, "incident.change", freezing.freeze, _("Frozen: every gate check on it denies."))


@require_POST
def lift(request: HttpRequest, reference: str) -> HttpResponse:
    """End the freeze, by a second person."""
    said = _("Lifted. What it held needs new sign-offs.")
    return _step(request, reference, "incident.lift", freezing.lift, said)


@require_POST
def close(request: HttpRequest, reference: str) -> HttpResponse:
    """End what was never frozen."""
    return _step(request, reference, "incident.change", incidents.close, _("Closed. It never held anything."))


@require_safe
def blast_radius(request: HttpRequest) -> HttpResponse:
    """``?subject=&since=``: everything that a subject reached; without one, what can be asked about."""
    user = signed_in(request, "promotion.read")
    asked, refusal, found = request.GET.get("subject", ""), None, None
    if asked:
        try:
            found = _radius(request)
        except Refusal as caught:
            refusal = caught
    context = {
        "asked": asked,
        "since": request.GET.get("since", ""),
        "refusal": refusal,
        "found": found,
        "sentence": conclusion(found) if found else "",
        "shown": SHOWN,
        "may": user.has_perm("incident.change"),
    }
    return render(request, "governance/blast_radius.html", context, status=refusal.status if refusal else 200)


@require_safe
def blast_file(request: HttpRequest, kind: str) -> HttpResponseBase:
    """The same as CSV or XLSX, all rows."""
    signed_in(request, "promotion.read")
    found = _radius(request)
    return csv_of(found) if kind == "csv" else xlsx_of(found)


def conclusion(found: BlastRadius) -> str:
    """The first sentence: how far it reached, where it serves now, and of what nobody can say."""
    silent = len(found.unsaid)
    if not silent:
        return _reach(found)
    more = ngettext(
        "%(n)d more version may be concerned: nobody said what it needs.",
        "%(n)d more versions may be concerned: nobody said what they need.",
        silent,
    )
    return f"{_reach(found)} {more % {'n': silent}}"


def _reach(found: BlastRadius) -> str:
    versions = len(found.versions)
    first = ngettext("It reached %(n)d model version", "It reached %(n)d model versions", versions) % {"n": versions}
    live = sorted({each.deployment.environment.slug for each in found.live})
    if live:
        return _("%(first)s; what it taught serves in %(places)s now.") % {"first": first, "places": ", ".join(live)}
    if found.windows:
        return _("%(first)s; none of it serves now, some of it did.") % {"first": first}
    return _("%(first)s; none of it served in that time.") % {"first": first}


def _step(request: HttpRequest, reference: str, right: str, take: Callable[..., Incident], said: str) -> HttpResponse:
    user = signed_in(request, "promotion.read")
    try:
        user.require(right)
        take(reference, reason=request.POST.get("reason", ""), by=user.actor)
    except NotKnown:
        raise
    except Refusal as refusal:
        return _page(request, reference, refusal=refusal)
    messages.success(request, said)
    return redirect("governance:incident", reference)


def _page(request: HttpRequest, reference: str, *, refusal: Refusal | None = None) -> HttpResponse:
    user = signed_in(request, "promotion.read")
    row = incidents.find(reference)
    found: BlastRadius | None = None
    with suppress(NotKnown):  # the root was removed since; what it held stays held
        found = blast.radius(row.root, since=row.since)
    context = {
        "incident": row,
        "sentence": _verdict(row, found),
        "found": found,
        "shown": SHOWN,
        "history": log.history(row.subject, limit=50),
        "names": queries.names({row.opened_by, row.frozen_by, row.ended_by}),
        "form": ReasonForm(initial={"reason": request.POST.get("reason", "")}),
        "refusal": refusal,
        "may_change": user.has_perm("incident.change"),
        "may_lift": user.has_perm("incident.lift"),
        "froze_it": row.frozen_by == user.actor.id,
    }
    return render(request, "governance/incident_detail.html", context, status=refusal.status if refusal else 200)


def _verdict(row: Incident, found: BlastRadius | None) -> str:
    """The first sentence of an incident's page."""
    told = conclusion(found) if found else _("What it is about is no longer in the registry.")
    return {
        IncidentState.OPEN.value: _("Open, not frozen: it holds nothing yet. %(reach)s"),
        IncidentState.FROZEN.value: _("Frozen: every gate check on what it reaches denies. %(reach)s"),
        IncidentState.LIFTED.value: _("Lifted: it holds nothing any more. %(reach)s"),
        IncidentState.CLOSED.value: _("Closed: it was never frozen. %(reach)s"),
    }[row.state] % {"reach": told}


def _radius(request: HttpRequest) -> BlastRadius:
    """What the address asks for. Raises ``BadInput`` for a moment that is none, and what ``blast.radius`` raises."""
    text = request.GET.get("since", "")
    return blast.radius(request.GET.get("subject", ""), since=_moment(text) if text else None)


def _moment(text: str) -> datetime:
    """A day in UTC or a moment with its zone."""
    try:
        found = parse_datetime(text if len(text) > 10 else f"{text}T00:00:00Z")
    except ValueError:
        found = None
    if found is None or timezone.is_naive(found):
        sentence = _("Write the day as 2026-03-01, or a moment with its zone as 2026-03-01T00:00:00Z.")
        raise BadInput(sentence, code="reach.since", fields={"since": sentence})
    return found
