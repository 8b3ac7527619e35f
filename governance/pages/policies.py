"""Policies as sentences and as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from audit import queries as log
from audit.as_of import asked
from audit.refusals import NotKnown
from governance import gates, policies, queries
from governance.models.policy import PackState, PolicyPack
from governance.models.user import User
from governance.pages import drafts
from governance.pages.then import policy_list_then, policy_then


@dataclass(frozen=True)
class PackRow:
    """An active pack with its rules in words."""

    row: PolicyPack
    compiled: policies.CompiledPack | None


@require_safe
def policy_list(request: HttpRequest) -> HttpResponse:
    """What is in force, and every other version; ``?as_of=`` answers for another moment."""
    _reader(request)
    if then := asked(request.GET.get("as_of", "")):
        return policy_list_then(request, then)
    rows = list(PolicyPack.objects.order_by("slug", "-version"))
    active = [PackRow(row, _compiled(row)) for row in rows if row.state == PackState.ACTIVE]
    context = {"active": active, "others": [row for row in rows if row.state != PackState.ACTIVE]}
    return render(request, "governance/policy_list.html", context)


@require_safe
def policy(request: HttpRequest, slug: str) -> HttpResponse:
    """One pack: sentences first, then the text, then where it decided lately."""
    user = _reader(request)
    slug, _slash, number = slug.partition("/")
    if then := asked(request.GET.get("as_of", "")):
        return policy_then(request, slug, number, then)
    versions = queries.pack_versions(slug)
    shown = _chosen(versions, number)
    if shown is None:
        raise NotKnown(_("There is no policy %(slug)s.") % {"slug": slug[:80]}, code="pack.unknown")
    context: dict[str, Any] = {
        "pack": shown,
        "compiled": _compiled(shown),
        "versions": versions,
        "blocked": [
            {"promotion": row, "why": gates.why_not(_of_pack(row, shown))}
            for row in queries.blocked_promotions()
            if _of_pack(row, shown)
        ],
        "names": queries.names({shown.drafted_by, shown.activated_by}),
        "history": log.history(shown.subject, limit=20),
        **drafts.steps(shown, user),
    }
    return render(request, "governance/policy_detail.html", context)


def _chosen(versions: list[PolicyPack], number: str) -> PolicyPack | None:
    if number:
        return next((row for row in versions if str(row.version) == number), None)
    active = (row for row in versions if row.state == PackState.ACTIVE)
    return next(active, versions[0] if versions else None)


def _compiled(row: PolicyPack) -> policies.CompiledPack | None:
    """None for a text that this program's engine no longer accepts: then the page says so."""
    try:
        return policies.compile_pack(row.text)
    except policies.PackError:
        return None


def _of_pack(promotion: Any, pack: PolicyPack) -> list[dict[str, Any]]:
    """The findings of this pack that block the promotion."""
    return [
        each
        for each in promotion.findings or []
        if each["pack"] == pack.slug and each["severity"] == "block" and each["outcome"] in ("fail", "error")
    ]


def _reader(request: HttpRequest) -> User:
    user = request.user
    assert isinstance(user, User)  # noqa: S101  (LoginRequiredMiddleware)
    user.require("promotion.read")
    return user
