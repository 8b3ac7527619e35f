"""Emergencies: what went without its signatures, until when, who looks at it; declare, confirm, end and review one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit import queries as log
from audit.refusals import BadInput, Refusal
from governance import access, emergency, emergency_in_person, emergency_review, queries
from governance.models.emergency import Emergency, EmergencyState
from governance.models.roles import Action
from governance.models.user import User
from governance.pages.person import signed_in
from governance.pages.stepping import step
from registry import environments
from registry import queries as registry_queries
from registry.models import Deployment
from registry.pages.refused import at_fields

#: What is over, newest first; the API lists all.
MOST_PAST = 50
MOST_OPEN = 50
_URGENT = ("overdue", "not_ratified", "emergency", "awaiting_review", "proposed")


class EmergencyForm(forms.Form):
    """For what, why, and for how long."""

    version = forms.CharField(
        label=gettext_lazy("Model version"), max_length=200, help_text=gettext_lazy("version:credit-scoring/7")
    )
    environment = forms.CharField(label=gettext_lazy("Environment"), max_length=128)
    incident = forms.CharField(
        label=gettext_lazy("Incident"), max_length=emergency.MOST_INCIDENT, help_text=gettext_lazy("INC-204")
    )
    reason = forms.CharField(
        label=gettext_lazy("Why it cannot wait for the signatures"),
        max_length=emergency.MOST_TEXT,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    hours = forms.IntegerField(
        label=gettext_lazy("For how many hours"), min_value=1, max_value=emergency.MOST_HOURS, initial=4
    )
    password = forms.CharField(
        label=gettext_lazy("Your password, again"),
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


def unsettled(now: datetime) -> list[dict[str, Any]]:
    """What is not settled, the most urgent first. One query."""
    rows = list(emergency_review.pressing(now).order_by("review_due_at", "pk")[:MOST_OPEN])
    found = [_described(row, now, serves=bool(getattr(row, "serves", True))) for row in rows]
    return sorted(found, key=lambda each: _URGENT.index(each["standing"]))


def late(items: Sequence[dict[str, Any]]) -> list[str]:
    """The sentence about reviews that are late, or none."""
    count = sum(1 for each in items if each["standing"] == "overdue")
    text = ngettext(
        "The review of %(n)d emergency is late, and its model is held.",
        "The reviews of %(n)d emergencies are late, and their models are held.",
        count,
    )
    return [text % {"n": count}] if count else []


def _described(row: Emergency, now: datetime, *, serves: bool) -> dict[str, Any]:
    standing = row.standing(now)
    return {"row": row, "standing": standing, "sentence": conclusion(row, standing, serves=serves)}


def conclusion(row: Emergency, standing: str, *, serves: bool) -> str:
    """The first sentence of an emergency's page."""
    told = {
        "reference": row.reference,
        "version": row.version.label,
        "model": row.version.model.name,
        "environment": row.environment.slug,
        "end": _day(row.ends_at),
        "due": _day(row.review_due_at),
    }
    if standing == "not_ratified" and serves:
        sentence = _(
            "%(reference)s was not ratified: another version than %(version)s has to serve in %(environment)s."
        )
        return sentence % told
    sentence = {
        "proposed": _("%(reference)s lets nothing go yet: a second person must confirm it within an hour."),
        "expired": _("%(reference)s let nothing go: nobody confirmed it in time."),
        "withdrawn": _("%(reference)s let nothing go: it was withdrawn."),
        "emergency": _(
            "%(version)s may go to %(environment)s without its signatures until %(end)s; the review is due by %(due)s."
        ),
        "awaiting_review": _("%(reference)s is over and waits for its review, due by %(due)s."),
        "overdue": _(
            "The review of %(reference)s was due by %(due)s: nothing of %(model)s goes forward until it is done."
        ),
        "ratified": _("%(reference)s was reviewed and ratified."),
    }.get(standing, _("%(reference)s was not ratified; its version does not serve in %(environment)s any more."))
    return sentence % told


def _day(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment else "–"


@require_safe
def emergency_list(request: HttpRequest) -> HttpResponse:
    """What is not settled, and what is over. A fixed number of queries."""
    signed_in(request, "promotion.read")
    now = timezone.now()
    pressing = unsettled(now)
    shown = [each["row"].pk for each in pressing]
    rows = Emergency.objects.select_related("version__model", "environment").exclude(pk__in=shown)
    context = {
        "sentence": _standing(pressing),
        "pressing": pressing,
        "past": [_described(row, now, serves=False) for row in rows.order_by("-pk")[:MOST_PAST]],
    }
    return render(request, "governance/emergency_list.html", context)


def _standing(pressing: Sequence[dict[str, Any]]) -> str:
    said = late(pressing)
    running = sum(1 for each in pressing if each["standing"] == "emergency")
    if running:
        text = ngettext(
            "%(n)d version may go without its signatures now.",
            "%(n)d versions may go without their signatures now.",
            running,
        )
        said.append(text % {"n": running})
    waiting = sum(1 for each in pressing if each["standing"] == "awaiting_review")
    if waiting:
        text = ngettext("%(n)d waits for its review.", "%(n)d wait for their review.", waiting)
        said.append(text % {"n": waiting})
    return " ".join(said) or _("Nothing goes without its signatures now, and no review is open.")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
def declare_emergency(request: HttpRequest) -> HttpResponse:
    """Declare one; ``?version=…&environment=…`` fill the form."""
    user = signed_in(request, "promotion.read")
    form = EmergencyForm(
        request.POST or None, initial={name: request.GET.get(name, "") for name in ("version", "environment")}
    )
    refusal: Refusal | None = None
    status = 400 if form.is_bound else 200
    if request.method == "POST" and form.is_valid():
        given = dict(form.cleaned_data)
        try:
            made = emergency_in_person.declare_with_password(
                registry_queries.version_by_subject(given.pop("version")),
                environments.find_environment(given.pop("environment")),
                **given,
                user=user,
                request=request,
            )
        except Refusal as caught:
            refusal, status = at_fields(form, caught), caught.status
        else:
            messages.success(request, _("Declared. A second person must confirm it within an hour."))
            return redirect("governance:emergency", made.reference)
    may = user.has_perm(Action.EMERGENCY_DECLARE)
    why_not = "" if may else access.refusal_of(Action.EMERGENCY_DECLARE)
    context = {"form": form, "refusal": refusal, "why_not": why_not}
    return render(request, "governance/emergency_declare.html", context, status=status)


@never_cache
@require_safe
def emergency_page(request: HttpRequest, reference: str) -> HttpResponse:
    """One emergency, with what may be done about it."""
    return _page(request, reference)


@never_cache
@require_POST
@sensitive_post_parameters("password")
def confirm_emergency(request: HttpRequest, reference: str) -> HttpResponse:
    """Confirm what somebody else declared, with the password again."""

    def confirm(user: User) -> None:
        password = request.POST.get("password", "")
        emergency_in_person.confirm_with_password(reference, password=password, user=user, request=request)

    return _step(request, reference, confirm, _("Confirmed. The pipeline may ask for its permit now."))


@require_POST
def stop_emergency(request: HttpRequest, reference: str) -> HttpResponse:
    """Withdraw it, or end it before its time."""

    def stop(user: User) -> None:
        if not user.has_perm(Action.EMERGENCY_REVIEW):
            user.require(Action.EMERGENCY_DECLARE)
        emergency.stop(reference, reason=request.POST.get("reason", ""), by=user.actor)

    return _step(request, reference, stop, _("Ended. Nothing goes without its signatures because of it."))


@never_cache
@require_POST
@sensitive_post_parameters("password")
def review_emergency(request: HttpRequest, reference: str) -> HttpResponse:
    """Ratify it or not, with the password again."""

    def review(user: User) -> None:
        verdict = request.POST.get("verdict", "")
        if verdict not in ("ratified", "not_ratified"):
            sentence = _("Say whether it is ratified or not.")
            raise BadInput(sentence, code="emergency.verdict", fields={"verdict": sentence})
        emergency_in_person.review_with_password(
            reference,
            ratified=verdict == "ratified",
            reason=request.POST.get("reason", ""),
            password=request.POST.get("password", ""),
            user=user,
            request=request,
        )

    return _step(request, reference, review, _("Reviewed. What a late review held is free again."))


def _step(request: HttpRequest, reference: str, do: Callable[[User], None], said: str) -> HttpResponse:
    return step(request, reference, do, said, page=_page, to="governance:emergency")


def _page(request: HttpRequest, reference: str, refusal: Refusal | None = None) -> HttpResponse:
    user = signed_in(request, "promotion.read")
    row, now = emergency.find(reference), timezone.now()
    standing = row.standing(now)
    serving = Deployment.objects.open().filter(version_id=row.version_id, environment_id=row.environment_id)
    serves = serving.exists()
    to_confirm, to_review = emergency.objection_to(row, user.actor), emergency_review.objection_to(row, user.actor)
    context = {
        "row": row,
        "standing": standing,
        "sentence": conclusion(row, standing, serves=serves),
        "ordered": emergency_review.must_be_replaced(row, now, serves=serves),
        "refusal": refusal,
        "given": request.POST if refusal else {},
        "history": log.history(row.subject, limit=20),
        "names": queries.names({row.declared_by, row.confirmed_by, row.reviewed_by}),
        "can_confirm": standing == "proposed",
        "why_not_confirm": to_confirm.sentence if to_confirm else "",
        "can_review": row.state == EmergencyState.CONFIRMED,
        "why_not_review": to_review.sentence if to_review else "",
        "can_stop": standing in ("proposed", "emergency"),
        "may_stop": user.has_perm(Action.EMERGENCY_DECLARE) or user.has_perm(Action.EMERGENCY_REVIEW),
    }
    return render(request, "governance/emergency_detail.html", context, status=refusal.status if refusal else 200)
