"""The front page: what may not happen, what waits for me, what serves where, what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.db.models import Case, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from audit import queries as log
from audit.as_of import asked
from governance import queries
from governance.gates import role_name, why_not
from governance.models.transfer import HaltState, TransferHalt
from governance.pages.emergencies import late, unsettled
from governance.pages.person import signed_in
from governance.pages.then import overview_then
from governance.review_queue import Waiting, in_review
from registry.deployments import Serving, shares_of
from registry.finding_wording import sentence
from registry.findings import unlawful_among
from registry.models import Deployment, Finding, FindingKind

#: Findings are counted up to here.
MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One model: what serves, by environment in the order of their names, most of the traffic first."""

    model: str
    serving: Sequence[Serving]
    #: The finding about each of ``serving`` that is no longer lawful, None for the others.
    unlawful: Sequence[Finding | None] = ()

    @property
    def pairs(self) -> list[tuple[Serving, Finding | None]]:
        """What serves with its finding."""
        return list(zip(self.serving, self.unlawful, strict=True))


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """A fixed number of queries, whatever the size of the registry."""
    user = signed_in(request, "promotion.read")
    if then := asked(request.GET.get("as_of", "")):
        return overview_then(request, then)
    waiting = in_review(user.actor)
    lenders = _lenders(waiting)
    blocked = queries.blocked_promotions()
    rows = _serving()
    unlawful = unlawful_among(each.deployment for row in rows for each in row.serving)
    emergencies = unsettled(timezone.now())
    context: dict[str, Any] = {
        "verdict": " ".join([*late(emergencies), _verdict(blocked, waiting, len(unlawful))]),
        "emergencies": emergencies,
        "halts": list(TransferHalt.objects.exclude(state=HaltState.DONE).select_related("safeguard")[:20]),
        "blocked": [{"promotion": each, "why": why_not(getattr(each, "findings", None) or [])} for each in blocked],
        "mine": [_described(each, lenders) for each in waiting if each.is_mine],
        "others": [_described(each, lenders) for each in waiting if not each.is_mine],
        "denied": queries.denied_checks(5),
        "rows": [
            replace(row, unlawful=[unlawful.get(each.deployment.subject) for each in row.serving]) for row in rows
        ],
        "findings": _findings(),
        "log": log.log_state(),
        "recent": log.search(_last_days(7), limit=8).rows,
    }
    return render(request, "governance/overview.html", context)


@require_safe
def review_queue(request: HttpRequest) -> HttpResponse:
    """Everything that waits for a signature, oldest first."""
    user = signed_in(request, "promotion.read")
    waiting = in_review(user.actor)
    lenders = _lenders(waiting)
    mine = [_described(each, lenders) for each in waiting if each.is_mine]
    count = len(mine)
    verdict = (
        ngettext("%(n)d promotion waits for your sign-off.", "%(n)d promotions wait for your sign-off.", count)
        % {"n": count}
        if count
        else _("Nothing waits for your sign-off.")
    )
    context = {
        "verdict": verdict,
        "mine": mine,
        "others": [_described(each, lenders) for each in waiting if not each.is_mine],
        "names": queries.names(each.promotion.requested_by for each in waiting),
    }
    return render(request, "governance/review_queue.html", context)


def _lenders(waiting: Sequence[Waiting]) -> dict[str, str]:
    """Names of those in whose place one may sign; asks only when there are any."""
    found = {one.delegator for each in waiting for one in each.lent}
    return {one: one for one in found} | queries.names(found) if found else {}


def _described(each: Waiting, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "promotion": each.promotion,
        "missing": _(" and ").join(role_name(str(one["role"])) for one in each.missing),
        "mine": _(" or ").join(role_name(role) for role in each.mine),
        "lent": [{"role": role_name(one.role), "who": names[one.delegator], "until": one.ends_at} for one in each.lent],
        "requested_by": each.promotion.requested_by,
    }


def _verdict(blocked: Sequence[object], waiting: Sequence[Waiting], unlawful: int) -> str:
    mine = sum(1 for each in waiting if each.is_mine)
    said = []
    if unlawful:
        text = ngettext(
            "%(n)d deployment serves and is no longer lawful.",
            "%(n)d deployments serve and are no longer lawful.",
            unlawful,
        )
        said.append(text % {"n": unlawful})
    if blocked:
        said.append(
            ngettext("%(n)d promotion is blocked.", "%(n)d promotions are blocked.", len(blocked)) % {"n": len(blocked)}
        )
    if mine:
        said.append(ngettext("%(n)d waits for your sign-off.", "%(n)d wait for your sign-off.", mine) % {"n": mine})
    if len(waiting) > mine:
        rest = len(waiting) - mine
        said.append(ngettext("%(n)d waits for somebody else.", "%(n)d wait for somebody else.", rest) % {"n": rest})
    return " ".join(said) or _("Nothing is blocked and nothing waits for a sign-off.")


def _findings() -> dict[str, Any]:
    """What was found and nobody closed: how many, and the first few, what is no longer lawful before what differs from
    the record. One query."""
    unlawful_first = Case(When(kind=FindingKind.NO_LONGER_LAWFUL, then=0), default=1)
    waiting = list(Finding.objects.waiting().order_by(unlawful_first, "-id")[:MOST_FINDINGS])
    count = len(waiting)
    more = count == MOST_FINDINGS
    shown = [{"finding": each, "sentence": sentence(each)} for each in waiting[:5]]
    text = ngettext("%(n)s finding waits", "%(n)s findings wait", count)
    return {"rows": shown, "summary": text % {"n": f"{count - 1}+" if more else count} if count else ""}


def _last_days(days: int) -> log.Filters:
    """What changed: people who come and go are in the log, but change nothing."""
    return log.Filters(since=timezone.now() - timedelta(days=days), without="session")


def _serving() -> list[Row]:
    rows: dict[str, list[Serving]] = {}
    open_now = list(Deployment.objects.open().with_names().order_by("model__name", "-since", "-id"))
    for each in shares_of(open_now):
        rows.setdefault(each.deployment.model.name, []).append(each)
    return [
        Row(name, sorted(found, key=lambda each: (each.deployment.environment.slug, -each.share)))
        for name, found in sorted(rows.items())
    ]
