"""The reconciler as a page: what differs, what nobody could ask, and each finding with its owner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from audit import queries as audit_queries
from audit.actors import Actor
from audit.refusals import Refusal
from registry import finding_wording, findings
from registry.lists import FindingFilter
from registry.models import Finding, FindingState, ReconcilerRun
from registry.pages.access import readable
from registry.pages.listing import searched
from registry.reconciling.run import reconcile


@readable
def reconciler(request: HttpRequest) -> HttpResponse:
    """What differs now; ``?show=gone`` lists what is gone, and further filters are in the address."""
    return _reconciler(request, None)


@require_POST
def run_reconciler(request: HttpRequest) -> HttpResponse:
    """Look now."""
    actor = _may(request, "finding.take")
    try:
        run = reconcile(by=actor)
    except Refusal as refusal:
        return _reconciler(request, refusal)
    told = ngettext("Looked: %(n)d new finding.", "Looked: %(n)d new findings.", run.opened) % {"n": run.opened}
    messages.success(request, told)
    return redirect("registry:reconciler")


def _reconciler(request: HttpRequest, refusal: Refusal | None) -> HttpResponse:
    form = FindingFilter.on_page(request.GET)
    page = searched(request, form)
    run = ReconcilerRun.objects.first()
    rows = page.object_list if page else []
    user = cast(Any, request.user)
    context = {
        "refusal": refusal,
        "form": form,
        "show": form.cleaned_data.get("show", ""),
        "filtered": page is not None and form.narrowed,
        "address": form.address,
        "run": run,
        "conclusion": finding_wording.conclusion(run, list(Finding.objects.standing())),
        "page": page,
        "rows": [_shown(each) for each in rows],
        "names": _names(each.owner for each in rows),
        "places": [{**each, "because": _because(each)} for each in run.places] if run else [],
        "may_run": user.has_perm("finding.take"),
    }
    status = refusal.status if refusal else 400 if page is None else 200
    return render(request, "registry/reconciler.html", context, status=status)


@readable
def finding_detail(request: HttpRequest, number: int) -> HttpResponse:
    """One finding: what stands here, what was seen, who has it, its history."""
    return _finding(request, findings.find(number), None)


@require_POST
def take_finding(request: HttpRequest, number: int) -> HttpResponse:
    """Become its owner."""
    actor = _may(request, "finding.take")
    try:
        findings.take(number, by=actor)
    except Refusal as refusal:
        return _finding(request, findings.find(number), refusal)
    messages.success(request, _("The finding is yours."))
    return redirect("registry:finding", number)


@require_POST
def close_finding(request: HttpRequest, number: int) -> HttpResponse:
    """Close it with a reason."""
    actor = _may(request, "finding.close")
    try:
        findings.close(number, reason=request.POST.get("reason", ""), by=actor)
    except Refusal as refusal:
        return _finding(request, findings.find(number), refusal)
    messages.success(request, _("The finding is closed."))
    return redirect("registry:finding", number)


def _finding(request: HttpRequest, finding: Finding, refusal: Refusal | None) -> HttpResponse:
    user = cast(Any, request.user)
    context = {
        "finding": finding,
        "refusal": refusal,
        "conclusion": finding_wording.sentence(finding),
        "look": finding_wording.state_of(finding),
        "values": _values(finding),
        "earlier": Finding.objects.filter(key=finding.key).exclude(pk=finding.pk)[:20],
        "names": _names((finding.owner, finding.closed_by)),
        "mine": finding.owner == user.actor.id,
        "waits": finding.state != FindingState.CLOSED,
        "may_take": user.has_perm("finding.take"),
        "may_close": user.has_perm("finding.close"),
        "reason": request.POST.get("reason", "") if refusal else "",
        "rows": audit_queries.history(finding.subject, limit=50),
    }
    return render(request, "registry/finding_detail.html", context, status=refusal.status if refusal else 200)


def _shown(finding: Finding) -> dict[str, Any]:
    return {
        "finding": finding,
        "sentence": finding_wording.sentence(finding),
        "look": finding_wording.state_of(finding),
    }


def _values(finding: Finding) -> list[dict[str, str]]:
    """Every recorded and observed value side by side, by its name."""
    words = {
        "version": _("Version"),
        "digest": _("Digest"),
        "serving": _("Serving"),
        "source": _("Source"),
        "run": _("Run"),
        "what": _("What"),
        "since": _("Since"),
        "claimed": _("Claimed version"),
        "basis": _("Known from"),
        "why": _("Why"),
        "detail": _("Detail"),
        "problem": _("Problem"),
        "last_delivery": _("Last delivery"),
        "change_found": _("Change found"),
        "emergency": _("Emergency"),
        "incident": _("Incident"),
        "standing": _("State"),
    }
    names = dict.fromkeys((*finding.recorded, *finding.observed))
    return [
        {
            "name": words.get(name, name),
            "recorded": finding_wording.value(name, finding.recorded.get(name)),
            "observed": finding_wording.value(name, finding.observed.get(name)),
        }
        for name in names
    ]


def _because(place: dict[str, Any]) -> str:
    return finding_wording.why(str(place["why"])) if place["state"] in ("cannot_tell", "unreachable") else ""


def _names(actor_ids: Iterable[str]) -> dict[str, str]:
    """Display names of people by actor id; whoever has no account any more stays the id. One query."""
    ids = {each for each in actor_ids if each}
    uuids = [each.partition(":")[2] for each in ids if each.startswith(("user:", "service:"))]
    found = get_user_model()._default_manager.filter(uuid__in=uuids).values_list("uuid", "display_name")
    names = {str(uuid): str(name) for uuid, name in found}
    return {each: names.get(each.partition(":")[2], each.partition(":")[2] or each) for each in ids}


def _may(request: HttpRequest, action: str) -> Actor:
    """The signed-in actor. Raises ``NotPermitted`` when the rule table does not give them ``action``."""
    user = cast(Any, request.user)
    user.require(action)
    return cast(Actor, user.actor)
