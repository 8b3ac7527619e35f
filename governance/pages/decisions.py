"""A decision as it was recorded, and the button that makes it again."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from audit import queries as log
from audit.refusals import NotKnown, Refused
from governance import gates, queries, replay
from governance.models.decision import Decision
from governance.models.user import User


@require_safe
def decision(request: HttpRequest, public_id: str) -> HttpResponse:
    """One decision, with the facts it was made on."""
    _user(request)
    return render(request, "governance/decision_detail.html", _context(_found(public_id)))


@require_POST
def replay_decision(request: HttpRequest, public_id: str) -> HttpResponse:
    """The same page with what a replay says, or what the packs in force now would say (``packs=now``)."""
    user = _user(request)
    shown = _found(public_id)
    context = _context(shown)
    try:
        if request.POST.get("packs") == "now":
            context["what_if"] = found = replay.what_if(shown)
            context["changed"] = _changed(shown, found)
        else:
            context["replay"] = replay.replay(shown, by=user.actor)
    except Refused as refusal:
        context["refusal"] = refusal
    return render(request, "governance/decision_detail.html", context)


def _context(shown: Decision) -> dict[str, Any]:
    found = gates.lines(shown)
    rows = log.history(shown.subject, limit=100)
    return {
        "decision": shown,
        "gates": [line for line in found if line.state != "not_applicable"],
        "idle_gates": [line for line in found if line.state == "not_applicable"],
        "counted": gates.counted(found),
        "proof": next((row for row in rows if row.facts.get("decision") == shown.public_id), None),
        "names": queries.names([shown.requested_by]),
        "helpers": queries.holders(gates.helpers(found)),
    }


def _changed(shown: Decision, found: replay.WhatIf) -> list[dict[str, str]]:
    """The blocking findings that one side has and the other has not."""
    then, now = (
        {(str(each["rule"]), str(each["subject"])): each for each in side if _blocks(each)}
        for side in (shown.findings, found.findings)
    )
    rows = [{"rule": key[0], "message": str(now[key]["message"]), "new": "yes"} for key in now.keys() - then.keys()]
    rows += [{"rule": key[0], "message": str(then[key]["message"]), "new": ""} for key in then.keys() - now.keys()]
    return sorted(rows, key=lambda row: (row["new"] == "", row["rule"], row["message"]))


def _blocks(each: Any) -> bool:
    return each["severity"] == "block" and each["outcome"] in ("fail", "error")


def _found(public_id: str) -> Decision:
    shown = queries.decision(public_id)
    if shown is None:
        raise NotKnown(_("There is no decision %(id)s.") % {"id": public_id[:60]}, code="decision.unknown")
    return shown


def _user(request: HttpRequest) -> User:
    user = request.user
    assert isinstance(user, User)  # noqa: S101  (LoginRequiredMiddleware)
    user.require("promotion.read")
    return user
