"""Waivers: which rule is excused for what, by whom, until when; propose, approve and revoke one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit import queries as log
from audit.refusals import Refusal
from governance import queries, waivers
from governance.models.user import User
from governance.models.waiver import LONGEST, Waiver, WaiverState
from governance.packs import versions_in_force
from governance.pages.person import signed_in
from governance.pages.stepping import step
from governance.pages.transfers import MOST_DECIDED, next_end
from governance.reliance import Reliance, reliance_on_waivers
from registry import environments
from registry import queries as registry_queries
from registry.pages.refused import at_fields

#: Waivers that are over, newest first; the API lists all.
MOST_PAST = 50
MOST_CURRENT = 200
_DAY = forms.DateInput(attrs={"type": "date"})
_TEXT = forms.Textarea(attrs={"rows": 3})


class WaiverForm(forms.Form):
    """Which rule, for what, why, and what is done instead. Days begin and end in UTC."""

    pack = forms.CharField(label=gettext_lazy("Pack"), max_length=80)
    rule = forms.CharField(label=gettext_lazy("Rule"), max_length=80)
    version = forms.CharField(
        label=gettext_lazy("Model version"), max_length=200, help_text=gettext_lazy("version:credit-scoring/7")
    )
    environment = forms.CharField(label=gettext_lazy("Environment"), max_length=128)
    subjects = forms.CharField(
        label=gettext_lazy("Findings about"),
        help_text=gettext_lazy("Subjects of the findings, separated by spaces: version:credit-scoring/7"),
    )
    reason = forms.CharField(
        label=gettext_lazy("Why the rule cannot be met"), max_length=waivers.MOST_TEXT, widget=_TEXT
    )
    control = forms.CharField(
        label=gettext_lazy("What is done instead"),
        max_length=waivers.MOST_TEXT,
        widget=_TEXT,
        help_text=gettext_lazy("The compensating control, for example: two people look at each refusal."),
    )
    starts_at = forms.DateField(
        label=gettext_lazy("Begins on"),
        required=False,
        widget=_DAY,
        help_text=gettext_lazy("Empty: as soon as a second person approves it."),
    )
    ends_at = forms.DateField(
        label=gettext_lazy("Ends with the day"),
        widget=_DAY,
        help_text=gettext_lazy("A waiver lasts 90 days at most; then another one is asked for."),
    )

    def given(self) -> dict[str, Any]:
        """The arguments of ``waivers.propose``. Raises what looking for the version and the environment raises."""
        values = self.cleaned_data
        return {
            "version": registry_queries.version_by_subject(values["version"]),
            "environment": environments.find_environment(values["environment"]),
            **{name: values[name] for name in ("pack", "rule", "reason", "control")},
            "subjects": values["subjects"].split(),
            "starts_at": _begin(values["starts_at"]),
            "ends_at": datetime.combine(values["ends_at"], time.max, UTC).replace(microsecond=0),
        }


def _begin(day: date | None) -> datetime | None:
    """Its first moment; today is now."""
    return None if day is None or day == timezone.now().date() else datetime.combine(day, time.min, UTC)


@require_safe
def waiver_list(request: HttpRequest) -> HttpResponse:
    """What is excused now, what waits, and what is over. A fixed number of queries."""
    user = signed_in(request, "promotion.read")
    now = timezone.now()
    rows = Waiver.objects.select_related("version__model", "environment")
    over = Q(state=WaiverState.REVOKED) | Q(ends_at__lte=now)
    current = list(rows.exclude(over).order_by("ends_at", "pk")[:MOST_CURRENT])
    past = list(rows.filter(over).order_by("-pk")[:MOST_PAST])
    in_force = versions_in_force(now)
    active = [row for row in current if row.state == WaiverState.ACTIVE]
    proposed = [row for row in current if row.state == WaiverState.PROPOSED]
    mine = waivers.waiting_for(proposed, user)
    found = reliance_on_waivers(active, most=MOST_DECIDED)
    context = {
        "sentence": _standing([row for row in active if row.runs(now, in_force)], mine, found),
        "active": [(row, row.standing(now, in_force), found.falling.get(row.reference, ())) for row in active],
        "mine": mine,
        "others": [row for row in proposed if row not in mine],
        "past": [(row, row.standing(now, in_force)) for row in past],
        "names": queries.names({row.requested_by for row in current} | {row.approved_by for row in current}),
        "found": found,
        "may": user.has_perm("waiver.change"),
    }
    return render(request, "governance/waiver_list.html", context)


def _standing(running: Sequence[Waiver], mine: Sequence[Waiver], found: Reliance) -> str:
    """The first sentence: what is excused, what ends next and what would fall with it, and what waits for me."""
    said = []
    if running:
        text = ngettext("%(n)d waiver excuses a rule.", "%(n)d waivers excuse a rule.", len(running))
        said.append(text % {"n": len(running)})
        first = running[0]
        said.append(next_end(first.reference, first.ends_at, len(found.falling.get(first.reference, ()))))
    else:
        said.append(_("No rule is excused now."))
    if mine:
        text = ngettext("%(n)d waits for your approval.", "%(n)d wait for your approval.", len(mine))
        said.append(text % {"n": len(mine)})
    return " ".join(said)


@require_http_methods(["GET", "HEAD", "POST"])
def propose_waiver(request: HttpRequest) -> HttpResponse:
    """Ask for a waiver; ``?pack=…&rule=…&version=…&environment=…&subject=…`` fill the form, as the gates' links do."""
    user = signed_in(request, "promotion.read")
    asked: dict[str, Any] = {name: request.GET.get(name, "") for name in ("pack", "rule", "version", "environment")}
    asked["subjects"] = " ".join(request.GET.getlist("subject"))
    form = WaiverForm(request.POST or None, initial=asked)
    refusal: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            user.require("waiver.change")
            made = waivers.propose(**form.given(), by=user.actor)
        except Refusal as caught:
            refusal = at_fields(form, caught)
            status = caught.status
        else:
            messages.success(request, _("Proposed. A second person must approve it before it excuses anything."))
            return redirect("governance:waiver", made.reference)
    else:
        status = 400 if form.is_bound else 200
    last = (timezone.now() + LONGEST - timedelta(days=1)).date()
    context = {"form": form, "refusal": refusal, "may": user.has_perm("waiver.change"), "last": last}
    return render(request, "governance/waiver_propose.html", context, status=status)


@never_cache
@require_safe
def waiver(request: HttpRequest, reference: str) -> HttpResponse:
    """One waiver, with what may be done about it."""
    return _page(request, reference)


@never_cache
@require_POST
@sensitive_post_parameters("password", "code", "assertion")
def approve_waiver(request: HttpRequest, reference: str) -> HttpResponse:
    """Approve what somebody else proposed, with the password again."""

    def approve(user: User) -> None:
        waivers.approve_with_password(
            reference,
            reason=request.POST.get("reason", ""),
            password=request.POST.get("password", ""),
            user=user,
            request=request,
        )

    return _step(request, reference, approve, _("Approved. It excuses what it names until it ends."))


@require_POST
def revoke_waiver(request: HttpRequest, reference: str) -> HttpResponse:
    """End it, with a reason."""

    def revoke(user: User) -> None:
        user.require("waiver.change")
        waivers.revoke(reference, reason=request.POST.get("reason", ""), by=user.actor)

    return _step(request, reference, revoke, _("Revoked. What serves is being decided again."))


def _step(request: HttpRequest, reference: str, do: Callable[[User], None], said: str) -> HttpResponse:
    return step(request, reference, do, said, page=_page, to="governance:waiver")


def _page(request: HttpRequest, reference: str, refusal: Refusal | None = None) -> HttpResponse:
    user = signed_in(request, "promotion.read")
    row, now = waivers.find(reference), timezone.now()
    found = reliance_on_waivers([row], most=MOST_DECIDED)
    objection = waivers.objection_to(row, user.actor)
    standing = row.standing(now, versions_in_force(now))
    context = {
        "row": row,
        "standing": standing,
        "sentence": conclusion(row, standing),
        "found": found,
        "falling": found.falling.get(row.reference, ()),
        "refusal": refusal,
        "given": request.POST if refusal else {},
        "history": log.history(row.subject, limit=20),
        "names": queries.names({row.requested_by, row.approved_by, row.revoked_by}),
        "can_approve": standing == "proposed",
        "why_not": objection.sentence if objection else "",
        "can_revoke": standing not in ("revoked", "expired"),
        "may": user.has_perm("waiver.change"),
    }
    return render(request, "governance/waiver_detail.html", context, status=refusal.status if refusal else 200)


def conclusion(row: Waiver, standing: str) -> str:
    """The first sentence of a waiver's page."""
    told = {
        "reference": row.reference,
        "rule": row.rule,
        "pack": row.pack,
        "then": row.pack_version,
        "version": row.version.label,
        "environment": row.environment.slug,
        "day": f"{row.ends_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "start": f"{row.starts_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
    }
    sentence = {
        "revoked": _("%(reference)s was revoked and excuses nothing."),
        "expired": _("%(reference)s ended on %(day)s and excuses nothing."),
        "superseded": _(
            "%(reference)s excuses nothing: it is for version %(then)d of %(pack)s, which is not the one in force."
        ),
        "proposed": _("%(reference)s excuses nothing yet: a second person must approve it."),
        "scheduled": _("%(reference)s excuses %(rule)s for %(version)s in %(environment)s from %(start)s to %(day)s."),
    }.get(standing, _("%(reference)s excuses %(rule)s for %(version)s in %(environment)s until %(day)s."))
    return sentence % told
