"""Where models come from, as a page: each tracking server, its newest import, and what was left out."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from audit.refusals import NotPermitted, Refusal
from registry.pages.access import readable
from registry.sources.overview import Source, order_import, sources


@readable
def source_list(request: HttpRequest) -> HttpResponse:
    """Every tracking server of the settings."""
    listed = sources()
    context = {"sources": listed, "conclusion": _conclusion(listed), "may": request.user.has_perm("registry.change")}
    context["untold"] = _untold(listed)
    return render(request, "registry/source_list.html", context)


@require_POST
def import_now(request: HttpRequest) -> HttpResponse:
    """Have a worker import; what it did stands on the page when it has ended."""
    if not request.user.has_perm("registry.change"):
        raise NotPermitted(_("Changing the registry needs a role."), code="access.registry.change")
    try:
        order_import()
    except Refusal as refusal:
        messages.error(request, refusal.sentence)
    else:
        messages.success(request, _("A worker was told to import. Reload this page in a moment."))
    return redirect("registry:sources")


def _untold(listed: list[Source]) -> str:
    """What MLflow does not know of what was recorded here; empty when it knows everything that it is to be told."""
    said = []
    if waiting := sum(each.mirror.waiting for each in listed):
        words = ngettext(
            "%(n)d change waits to be told to MLflow.", "%(n)d changes wait to be told to MLflow.", waiting
        )
        said.append(words % {"n": waiting})
    if refused := sum(each.mirror.refused for each in listed):
        words = ngettext("%(n)d change could not be told.", "%(n)d changes could not be told.", refused)
        said.append(words % {"n": refused})
    return " ".join(said)


def _conclusion(listed: list[Source]) -> str:
    if not listed:
        return _("No tracking server is set: models come only from people and pipelines.")
    failed = [each.name for each in listed if each.failed]
    if failed:
        return _("%(names)s could not be read: what changed there since is unknown here.") % {
            "names": ", ".join(failed)
        }
    if any(each.newest is None for each in listed):
        return _("Not every server was imported yet.")
    left = sum(each.newest.counts["problems"] for each in listed if each.newest)
    if left:
        words = ngettext(
            "Every server was read; %(n)d thing was left out.",
            "Every server was read; %(n)d things were left out.",
            left,
        )
        return words % {"n": left}
    return _("Every server was read, and nothing was left out.")
