"""A decision as it was recorded, how it would have passed, and the button that makes it again."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from audit import queries as log
from audit.refusals import NotKnown, Refused
from governance import gates, keys, queries, replay, steps, ways, wording
from governance.decisions import missing_sentence
from governance.models.decision import Decision, Outcome
from governance.pages import excuses
from governance.pages.person import signed_in
from governance.policies.ways import Ways


@require_safe
def decision(request: HttpRequest, public_id: str) -> HttpResponse:
    """One decision, with the facts it was made on; with ``?ways=1`` how it would have passed, which takes a moment."""
    signed_in(request, "promotion.read")
    shown = _found(public_id)
    context = _context(shown)
    if "ways" in request.GET:
        context["asked_ways"] = True
        try:
            context |= _ways(ways.to_pass(shown))
        except Refused as refusal:
            context["no_ways"] = refusal
    return render(request, "governance/decision_detail.html", context)


@require_POST
def replay_decision(request: HttpRequest, public_id: str) -> HttpResponse:
    """The same page with what a replay says, or what the packs in force now would say (``packs=now``)."""
    user = signed_in(request, "promotion.read")
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
        "sentence": _sentence(shown),
        "gates": [line for line in found if line.state != "not_applicable"],
        "idle_gates": [line for line in found if line.state == "not_applicable"],
        "counted": gates.counted(found),
        "proof": next((row for row in rows if row.facts.get("decision") == shown.public_id), None),
        "names": queries.names([shown.requested_by]),
        "helpers": queries.holders(gates.helpers(found)),
        "waiver_names": excuses.fill(found, shown),
        "attestation_key": keys.in_use(),
        "verify_command": f"countersign verify {shown.public_id}.intoto.json --key countersign-keys.json"
        f" --digest {shown.version.digest} --environment {shown.environment.slug}",
    }


def _sentence(shown: Decision) -> str:
    """What the page concludes, in the reader's language; the engine's own summary stands in the API."""
    if shown.outcome == Outcome.ALLOW:
        warned = {str(each["rule"]) for each in shown.findings if wording.is_problem(each)}
        excused = {str(each["rule"]) for each in shown.findings if each["outcome"] == "fail" and each["waived_by"]}
        if excused:
            although = ngettext(
                "Allowed, although %(n)d rule is waived.", "Allowed, although %(n)d rules are waived.", len(excused)
            )
            return although % {"n": len(excused)}
        told = ngettext("Allowed, with %(n)d warning.", "Allowed, with %(n)d warnings.", len(warned))
        return told % {"n": len(warned)} if warned else _("Allowed: every gate that applies passed.")
    if shown.outcome == Outcome.PENDING:
        return missing_sentence(shown.signoff) or shown.summary
    why = gates.why_not(shown.findings) or shown.summary
    if shown.outcome == Outcome.DENY:
        return _("Denied: %(why)s") % {"why": why}
    return _("Cannot be decided, which forbids like a denial: %(why)s") % {"why": why}


def _ways(found: Ways) -> dict[str, Any]:
    best, *others = ([way, steps.steps(way)] for way in found.ways) if found.ways else [None]
    return {
        "ways": found,
        "best_way": best,
        "other_ways": others,
        "stuck": [(each, steps.reason(each)) for each in found.stuck],
        "computed": steps.computed(found),
    }


def _changed(shown: Decision, found: replay.WhatIf) -> list[dict[str, str]]:
    """The blocking findings that one side has and the other has not."""
    then, now = (
        {(str(each["rule"]), str(each["subject"])): each for each in side if wording.blocks(each)}
        for side in (shown.findings, found.findings)
    )
    rows = [{"rule": key[0], "message": str(now[key]["message"]), "new": "yes"} for key in now.keys() - then.keys()]
    rows += [{"rule": key[0], "message": str(then[key]["message"]), "new": ""} for key in then.keys() - now.keys()]
    return sorted(rows, key=lambda row: (row["new"] == "", row["rule"], row["message"]))


def _found(public_id: str) -> Decision:
    shown = queries.decision(public_id)
    if shown is None:
        raise NotKnown(_("There is no decision %(id)s.") % {"id": public_id[:60]}, code="decision.unknown")
    return shown
