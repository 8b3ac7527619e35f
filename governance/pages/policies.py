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
from governance import policies, queries, requirements
from governance.models.policy import PackState, PolicyPack
from governance.pages import drafts
from governance.pages.drafts import tried_on_cases
from governance.pages.person import signed_in
from governance.pages.then import policy_list_then, policy_then


@dataclass(frozen=True)
class PackRow:
    """An active pack with its rules in words."""

    row: PolicyPack
    compiled: policies.CompiledPack | None


@require_safe
def policy_list(request: HttpRequest) -> HttpResponse:
    """What is in force, and every other version; ``?as_of=`` answers for another moment."""
    signed_in(request, "promotion.read")
    if then := asked(request.GET.get("as_of", "")):
        return policy_list_then(request, then)
    rows = queries.as_they_stand(PolicyPack.objects.order_by("slug", "-version"))
    active = [PackRow(row, _compiled(row)) for row in rows if row.state == PackState.ACTIVE]
    context = {"active": active, "others": [row for row in rows if row.state != PackState.ACTIVE]}
    return render(request, "governance/policy_list.html", context)


@require_safe
def policy(request: HttpRequest, slug: str) -> HttpResponse:
    """One pack: what it requires in words, where, whom it blocks, its cases and back-tests, then the text.

    ``?against=3`` shows what it changes against version 3.
    """
    user = signed_in(request, "promotion.read")
    slug, _slash, number = slug.partition("/")
    if then := asked(request.GET.get("as_of", "")):
        return policy_then(request, slug, number, then)
    versions = queries.pack_versions(slug)
    shown = _chosen(versions, number)
    if shown is None:
        raise NotKnown(_("There is no policy %(slug)s.") % {"slug": slug[:80]}, code="pack.unknown")
    compiled, in_force = _compiled(shown), shown.state == PackState.ACTIVE
    blocking = requirements.blocked_by(shown.slug) if in_force else None
    context: dict[str, Any] = {
        "pack": shown,
        "compiled": compiled,
        "sentence": requirements.sentence(shown.state, blocking),
        "requirements": requirements.requirements(compiled) if compiled else [],
        "switched_off": requirements.switched_off(compiled) if compiled else [],
        "where": requirements.where(compiled) if compiled else None,
        "blocking": blocking,
        "tried": tried_on_cases(compiled) if compiled else None,
        "versions": versions,
        "names": queries.names({shown.drafted_by, shown.activated_by}),
        "history": log.history(shown.subject, limit=20),
        **drafts.steps(shown, versions, user, against=request.GET.get("against", "")),
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
