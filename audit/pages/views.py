"""Pages: the log, one entry, verification; and the two texts that outsiders fetch."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit import as_of, checks, entries, health, people, published, queries, shards, stories
from audit.exports.scope import FIELDS
from audit.log import log_id
from audit.pages.commands import check_signature, verify_inclusion
from audit.pages.forms import Known, LogFilter
from audit.refusals import BadInput, NotKnown, NotPermitted
from audit.witnesses import queries as witnesses

PAGE = 50


@never_cache
@require_safe
def log(request: HttpRequest) -> HttpResponse:
    """The list with its filters and how many entries match; ten queries at most besides those of every page."""
    _may_read(request)
    actors = queries.actors()
    known = Known(actors, queries.named("model"), queries.named("environment"), queries.logs())
    form = LogFilter(request.GET, known=known)
    if not form.is_valid():
        return render(request, "audit/log_list.html", {"form": form, "page": None}, status=400)
    values, filters, then = form.cleaned_data, form.filters, as_of.asked(form.cleaned_data["as_of"])
    if then is not None:
        last = then.last if filters.through is None else min(then.last, filters.through)
        filters = replace(filters, through=last, log_id=then.log_id)
    search = queries.searching(filters)
    page = queries.page_of(search, before=values["before"], after=values["after"], limit=PAGE)
    context = {
        "form": form,
        "page": page,
        "filtered": form.is_filtered,
        "as_of": then,
        "counted": search.count(exact=request.GET.get("count") == "exact"),
        "names": people.names_of((row.subject for row in page.rows), dict(actors)),
        "waiting": sum(1 for row in page.rows if row.index is None),
        "exactly": form.address(count="exact"),
        "older": form.address(before=page.older) if page.older is not None else "",
        "newer": form.address(after=page.newer) if page.newer is not None else "",
        "old_log": values["log"] or (then.log_id if then is not None else 0),
        "export": form.address(),
    }
    return render(request, "audit/log_list.html", context)


@never_cache
@require_safe
def entry(request: HttpRequest, index: int) -> HttpResponse:
    """One entry with its proof and the commands to check it."""
    _may_read(request)
    log = _old_log(request)
    found = _detail(index, log)
    covering = witnesses.witnessed_at(log or log_id(), index) if found.inclusion is not None else None
    context: dict[str, Any] = {
        "detail": found,
        "row": found.row,
        "old_log": log,
        "names": people.names_of([found.row.subject], {}),
        "told": stories.sentence(found.row.event, found.row.subject, found.row.facts),
        "changes": stories.changes(found.row.facts),
        "around": stories.around(found.row),
        "witnessed": covering,
        "bracket": stories.bracket(log or log_id(), found.data, covering),
        "pretty": json.dumps(json.loads(found.data), indent=2, ensure_ascii=False),
        "canonical": found.data.decode(),
        "leaf_hash": found.leaf_hash.hex(),
        "commitments": [
            (FIELDS.get(name, name), commitment, name in found.erased, found.erased.get(name))
            for name, commitment in sorted(found.commitments.items())
        ],
        "proof_command": verify_inclusion(found),
        "signature_command": check_signature(_checkpoint_address(request, log)),
    }
    if found.inclusion is not None:
        context["root"] = found.inclusion.checkpoint.root.hex()
        context["root_base64"] = base64.b64encode(found.inclusion.checkpoint.root).decode()
    return render(request, "audit/entry_detail.html", context)


@never_cache
@require_safe
def proof(request: HttpRequest, index: int) -> HttpResponse:
    """The receipt of an entry as a file (c2sp.org/tlog-proof@v1)."""
    _may_read(request)
    found = _detail(index, _old_log(request))
    if found.inclusion is None:
        raise NotKnown(
            _("Entry #%(index)d waits for its signed checkpoint. Try again in a second.") % {"index": index},
            code="log.not_sealed",
        )
    response = HttpResponse(found.proof_text, content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="entry-{index}.tlog-proof"'
    return response


@never_cache
@require_safe
def verify(request: HttpRequest) -> HttpResponse:
    """What the last verification found, and how to verify without this server."""
    _may_read(request)
    context = {
        "check": checks.newest(),
        "head": health.log_head(),
        "checkpoint": entries.newest_checkpoint(),
        "vkeys": entries.vkeys(),
        "logs": shards.shards(queries.fetch),
        "published": published.of_log(log_id()),
        "signature_command": check_signature(_checkpoint_address(request, 0)),
    }
    return render(request, "audit/log_verify.html", context)


def _detail(index: int, log: int) -> entries.EntryDetail:
    found = entries.detail(index, log) if index < 2**62 else None
    if found is None:
        raise NotKnown(_("The log has no entry #%(index)d.") % {"index": index}, code="log.no_entry")
    return found


def _old_log(request: HttpRequest) -> int:
    """The log that ``?log=`` names; 0 for the one in use. Raises ``BadInput`` for what is no number of a log."""
    asked = request.GET.get("log", "")
    if asked and not (asked.isascii() and asked.isdigit() and 0 < int(asked[:12]) < 2**31):
        raise BadInput(_("“%(log)s” is not the number of a log.") % {"log": asked[:40]}, code="log.number")
    return int(asked or 0)


def _checkpoint_address(request: HttpRequest, log: int) -> str:
    return request.build_absolute_uri(
        reverse("audit:checkpoint_of", args=[log]) if log else reverse("audit:checkpoint")
    )


def _may_read(request: HttpRequest) -> None:
    if not request.user.has_perm("audit.read"):
        raise NotPermitted(
            _("Your roles do not include reading the log. An administrator can grant the role auditor."),
            code="audit.read",
        )
