"""Overview and policies as of a moment: read-only pages, answered from the log."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit import queries as log
from audit.as_of import AsOf
from audit.refusals import NotKnown
from governance import as_of, policies, queries
from governance.models.policy import PackState
from registry.as_of import SERVING, registry_at
from registry.pages.then import until


def overview_then(request: HttpRequest, then: AsOf) -> HttpResponse:
    """What served and what was open. Five queries besides those of every page."""
    promotions = [each for each in as_of.promotions_at(then) if each.is_open]
    served = registry_at(then, SERVING).serving()
    recent = log.Filters(since=then.at - timedelta(days=7), without="session", through=then.last, log_id=then.log_id)
    context = {
        "as_of": then,
        "verdict": _verdict(len(promotions)),
        "promotions": promotions,
        "deployments": [each.deployment for each in served],
        "recent": log.search(recent, limit=8).rows,
    }
    return render(request, "governance/overview_then.html", context)


def policy_list_then(request: HttpRequest, then: AsOf) -> HttpResponse:
    """Which policies were in force. One query besides those of every page."""
    found = as_of.packs_at(then)
    active = [each for each in found if each.state == PackState.ACTIVE]
    context = {"as_of": then, "active": active, "others": [each for each in found if each not in active]}
    return render(request, "governance/policy_list_then.html", context)


def policy_then(request: HttpRequest, slug: str, number: str, then: AsOf) -> HttpResponse:
    """One policy as of a moment, its text only when that still has the digest that the log names. Three queries.

    Raises NotKnown when there was none.
    """
    versions = [each for each in as_of.packs_at(then) if each.slug == slug]
    chosen = [each for each in versions if (str(each.version) == number if number else each.state == PackState.ACTIVE)]
    if not chosen and not number:
        chosen = versions
    if not chosen:
        raise NotKnown(_("As of then the log knows no policy %(slug)s.") % {"slug": slug[:80]}, code="pack.unknown")
    shown = chosen[0]
    stored = next((row for row in queries.pack_versions(slug) if row.version == shown.version), None)
    compiled = _compiled(stored.text) if stored is not None else None
    same = stored is not None and compiled is not None and compiled.digest == shown.digest
    context = {
        "as_of": then,
        "pack": shown,
        "versions": versions,
        "text": stored.text if stored is not None and same else "",
        "compiled": compiled,
        "history": until(then, f"pack:{slug}/{shown.version}"),
    }
    return render(request, "governance/policy_then.html", context)


def _compiled(text: str) -> policies.CompiledPack | None:
    try:
        return policies.compile_pack(text)
    except policies.PackError:
        return None


def _verdict(count: int) -> str:
    if not count:
        return _("No promotion was open.")
    return ngettext("%(n)d promotion was open.", "%(n)d promotions were open.", count) % {"n": count}
