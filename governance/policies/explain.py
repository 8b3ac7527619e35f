"""Findings: what a rule says about one subject, in words that tell how to pass and who can help."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from governance.policies.compile import Verdict
from governance.policies.facts import NOWHERE
from governance.policies.results import Finding, NearMiss
from governance.policies.verdicts import Judged
from governance.policies.vocabulary import UNKNOWN

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_CLOSEST = 3
#: Findings of the engine itself. They belong to no pack and no pack can switch them off.
NO_RULES = "ENGINE-NO-RULES"
UNCOVERED = "ENGINE-COVERAGE"
FROZEN = "ENGINE-INCIDENT"
OVERDUE = "ENGINE-REVIEW"


def finding(one: Judged) -> Finding:
    """What was judged, in words. Most of what is judged simply holds."""
    pack, compiled, outcome, item = one[:4]
    rule = compiled.rule
    if outcome == "pass" or outcome == "not_applicable":
        waived_by = one.by if compiled.needs is None else ""
        return Finding(
            *(rule.id, pack.pack.id, outcome, rule.severity, rule.title, rule.cites),
            *(item["subject"], tuple(item.get("path", ())), _others(item), tuple(one.failed), (), waived_by),
            *(_good_news(one) if one.by or outcome != "pass" else rule.title, "", (), ""),
        )
    message = render(rule.message, item)
    if outcome == "error":
        reasons = "; ".join(f"{name}: {why}" for name, why in one.problems)
        message = f"{rule.id} cannot be decided for {item['subject']}: {reasons}"
    return Finding(
        rule=rule.id,
        pack=pack.id,
        outcome=outcome,
        severity=rule.severity,
        title=rule.title,
        cites=rule.cites,
        subject=str(item["subject"]),
        path=tuple(item.get("path", ())),
        facts=_others(item),
        failed=tuple(one.failed) or tuple(name for name, _ in one.problems),
        closest=nearest(one.papers),
        waived_by=one.by,
        message=message,
        remedy=render(rule.remedy, item),
        who=rule.who,
        where=rule.where,
    )


def _good_news(one: Judged) -> str:
    if one.outcome == "not_applicable":
        return "Does not apply here."
    how = "lawful" if one.rule.needs is None else "shown"
    return f"{one.rule.rule.title}: {how} by {one.by}."


def _others(item: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of the subject besides its name and path, which a finding states by themselves."""
    found = dict(item)
    del found["subject"]
    found.pop("path", None)
    return found


def nearest(judged: Sequence[tuple[str, Verdict]]) -> tuple[NearMiss, ...]:
    """The safeguards that lack least; ties go to the name. A condition without an answer counts as lacking."""
    misses = [NearMiss(name, (*verdict.failed, *(name for name, _ in verdict.errors))) for name, verdict in judged]
    return tuple(sorted(misses, key=lambda miss: (len(miss.failed), miss.id))[:_CLOSEST])


def uncovered(flow: Mapping[str, Any], people: str) -> Finding:
    """Personal data about which no active residency rule has anything to say: the gate must not read silence as yes."""
    who: tuple[str, ...] = ("data_scientist", "dpo")
    where = "/datasets"
    what = f"{flow['subject']} ({_shown('kind', flow)})"
    if people == UNKNOWN:
        message = f"Nobody said whose data {what} holds, so no residency rule can be chosen"
        remedy = "Record the jurisdictions of the people in the data set"
    else:
        message = f"No active residency rule covers the people of {people} in {what}"
        remedy = f"Activate a pack whose residency rule covers {people}, or correct the jurisdictions of the data set"
        who, where = ("compliance_officer",), "/policies"
    return engine_finding(
        UNCOVERED,
        subject=str(flow["subject"]),
        path=tuple(flow["path"]),
        facts=_others(flow),
        failed=(f"covered:{people}",),
        message=message,
        remedy=remedy,
        who=who,
        where=where,
    )


def lawless(flow: Mapping[str, Any]) -> Finding:
    """Personal data under a law about which no active pack has anything to say."""
    law = flow["perimeter"]
    what = f"{flow['subject']} ({_shown('kind', flow)})"
    return engine_finding(
        UNCOVERED,
        subject=str(flow["subject"]),
        path=tuple(flow["path"]),
        facts=_others(flow),
        failed=(f"law:{law}",),
        message=f"No active residency rule speaks for the law of {law}, which governs {what}",
        remedy=f"Activate a pack for the jurisdiction {law}, or correct the perimeter",
        who=("compliance_officer",),
        where="/policies",
    )


def frozen(incident: Mapping[str, Any], version: str) -> Finding:
    """A freeze that reaches the version. No pack states it, so none can excuse it; it ends when it is lifted."""
    reference = str(incident["id"])
    return Finding(
        rule=FROZEN,
        pack="",
        outcome="fail",
        severity="block",
        title="No incident holds the version back",
        cites=(),
        subject=version,
        path=tuple(incident["path"]),
        facts={name: value for name, value in incident.items() if name != "path"},
        failed=("not_frozen",),
        closest=(),
        waived_by="",
        message=(
            f"{reference} “{incident['title']}” holds {version}: {incident['root']} is unlawful since"
            f" {incident['since']}, frozen on {incident['frozen_at']} by {incident['frozen_by']}"
        ),
        remedy=(
            "Choose a version that it does not reach; or, when the cause is gone, let a second person lift"
            f" {reference}: who froze it cannot"
        ),
        who=("compliance_officer", "dpo"),
        where=f"/incidents/{reference}",
    )


def overdue(review: Mapping[str, Any], version: str) -> Finding:
    """An emergency of the model that nobody reviewed in time. Only the review ends what this forbids."""
    reference = str(review["id"])
    return Finding(
        rule=OVERDUE,
        pack="",
        outcome="fail",
        severity="block",
        title="Every emergency of the model was reviewed in time",
        cites=(),
        subject=version,
        path=(),
        facts=dict(review),
        failed=("reviewed",),
        closest=(),
        waived_by="",
        message=(
            f"{reference} let {review['version']} into {review['environment']} without its signatures, and its review"
            f" was due on {review['due_at']}: nothing of {review['model']} goes forward until it is reviewed"
        ),
        remedy=f"Review {reference}, ratified or not; no waiver and no emergency stands in for it",
        who=tuple(review["review_by"]),
        where=f"/emergencies/{reference}",
    )


def engine_finding(
    rule: str,
    *,
    subject: str,
    message: str,
    remedy: str,
    who: tuple[str, ...],
    where: str,
    path: tuple[str, ...] = (),
    facts: Mapping[str, Any] | None = None,
    failed: tuple[str, ...] = (),
) -> Finding:
    """A blocking finding of the engine itself, with outcome ``error``: it could not be decided."""
    return Finding(
        rule=rule,
        pack="",
        outcome="error",
        severity="block",
        title="A decision needs a rule that speaks about the subject",
        cites=(),
        subject=subject,
        path=path,
        facts=facts or {},
        failed=failed,
        closest=(),
        waived_by="",
        message=message,
        remedy=remedy,
        who=who,
        where=where,
    )


def render(template: str, item: Mapping[str, Any]) -> str:
    """``{field}`` becomes the fact. Nothing else is interpreted: the text comes from whoever drafts a pack."""
    return _PLACEHOLDER.sub(lambda found: _shown(found[1], item), template)


def summary_of(decision_word: str, findings: Sequence[Finding]) -> str:
    """One line for lists and logs."""
    blocking = [one for one in findings if one.blocks]
    if decision_word == "allow":
        passed = sum(one.outcome == "pass" for one in findings)
        warned = sum(one.severity == "warn" and one.outcome in ("fail", "error") for one in findings)
        waived = sum(one.severity == "block" and one.outcome == "fail" for one in findings)
        more = [(warned, "warnings"), (waived, "waived")]
        return ", ".join([f"{passed} findings passed", *(f"{count} {what}" for count, what in more if count)])
    rules = ", ".join(dict.fromkeys(one.rule for one in blocking))
    return f"{len(blocking)} blocking finding{'' if len(blocking) == 1 else 's'}: {rules}"


def _shown(name: str, item: Mapping[str, Any]) -> str:
    value = item.get(name, "")
    if name == "kind":
        return str(value).replace("_", " ")
    if name == "region" and value == NOWHERE:
        claimed = item.get("claimed_region", "")
        return f"{claimed} (not confirmed)" if claimed else "an unknown region"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "nobody known"
    return str(value) or "unknown"
