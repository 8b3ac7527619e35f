"""Rules over facts. The same packs and the same facts give the same decision, byte for byte, on any day.

Never an allow by absence: no packs, no blocking rule that passed, or personal data about which no residency rule of
the right jurisdiction speaks, each is a blocking finding, and so is an incident that holds the version. Packs are a
conjunction; none can override another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from governance.policies import explain
from governance.policies.compile import ENGINE, CompiledPack, CompiledRule, Verdict
from governance.policies.facts import UNKNOWN, Facts
from governance.policies.judging import Case
from governance.policies.quorum import SignOffState
from governance.policies.results import Decision, Finding, Word
from governance.policies.vocabulary import format_time

_ORDER = {"fail": 0, "error": 1, "pass": 2, "not_applicable": 3}
_SEVERITY = {"block": 0, "warn": 1, "inform": 2}


@dataclass(frozen=True, slots=True)
class _Judged:
    """A finding, the end of what it relies on (RFC 3339 or empty), and the flow it is about by position."""

    finding: Finding
    until: str = ""
    flow: int = -1


def evaluate(packs: Sequence[CompiledPack], facts: Facts) -> Decision:
    """Decide. Never raises for what a rule or a fact says: what cannot be decided is a finding that blocks.

    The word is ``deny`` when anything blocks or an incident holds the version, ``error`` when no rule could speak at
    all, else ``allow``; ``pending`` comes from ``conclude``.
    """
    packs = sorted({pack.digest: pack for pack in packs}.values(), key=lambda pack: (pack.id, pack.version))
    case = Case(facts)
    judged = [one for pack in packs for rule in pack.rules for one in _judge(pack, rule, facts, case)]
    findings = [one.finding for one in judged]
    findings += [*_uncovered(packs, judged, facts), *_lawless(packs, facts)] if packs else []
    word: Word = "deny" if any(one.blocks for one in findings) else "allow"
    if not any(one.severity == "block" and one.outcome != "not_applicable" for one in findings):
        findings.append(_no_rules(packs, facts))
        word = "error"
    if facts.incidents:
        findings += [explain.frozen(incident, facts.subject) for incident in facts.incidents]
        word = "deny"
    findings.sort(key=_first)
    return Decision(
        word=word,
        summary=explain.summary_of(word, findings),
        findings=tuple(findings),
        policy=tuple(pack.reference for pack in packs),
        facts_digest=facts.digest,
        engine=dict(ENGINE),
        valid_until=min((one.until for one in judged if one.until), default=""),
    )


def _first(one: Finding) -> tuple[bool, bool, int, int, str, str]:
    """Incidents, then what blocks, then by outcome, severity and name."""
    frozen = one.rule == explain.FROZEN
    return (not frozen, not one.blocks, _ORDER[one.outcome], _SEVERITY[one.severity], one.rule, one.subject)


def conclude(decision: Decision, signoffs: SignOffState) -> Decision:
    """The decision of the rules and the state of the signatures together; only both together allow.

    Signatures never mend a denial. A standing rejection denies, missing ones make it ``pending``, and a sign-off rule
    that cannot be evaluated, or no sign-off rule at all, makes it ``error``.
    """
    if decision.word != "allow":
        return decision
    ends = [text for text in (decision.valid_until, _end(signoffs)) if text]
    if signoffs.state in ("approved", "not_required"):
        return replace(decision, valid_until=min(ends, default=""))
    if signoffs.state == "awaiting_signoff":
        needed = ", ".join(f"{missing.n} × {missing.role}" for missing in signoffs.missing)
        return replace(decision, word="pending", summary=f"Waiting for sign-offs: {needed or 'more people'}")
    if signoffs.state == "rejected":
        return replace(decision, word="deny", summary="Rejected by a person who may sign")
    problems = "; ".join(signoffs.problems) or "The sign-off rules cannot be decided"
    return replace(decision, word="error", summary=problems)


def _end(signoffs: SignOffState) -> str:
    return format_time(signoffs.valid_until) if signoffs.valid_until else ""


def _judge(pack: CompiledPack, rule: CompiledRule, facts: Facts, case: Case) -> Iterator[_Judged]:
    """All findings of one rule; one ``not_applicable`` for the version when it applied to nothing."""
    applied = False
    if pack.speaks(facts):
        flows = facts.document["flows"] if rule.rule.scope == "flow" else None
        for position, item in enumerate(flows) if flows is not None else [(-1, facts.document["version"])]:
            one = _judge_item(pack, rule, item, position, facts, case)
            if one is not None:
                applied = True
                yield one
    if not applied:
        yield _Judged(explain.finding(pack, rule, "not_applicable", facts.document["version"]))


def _judge_item(
    pack: CompiledPack, rule: CompiledRule, item: Mapping[str, Any], flow: int, facts: Facts, case: Case
) -> _Judged | None:
    """One rule on one item; None when its ``when`` is false. ``flow`` is its position, -1 for the version."""
    if rule.when is not None:
        applies = case.judge(pack, rule.when, flow)
        if applies.errors:
            return _Judged(explain.finding(pack, rule, "error", item, problems=applies.errors), flow=flow)
        if not applies.holds:
            return None
    verdict = case.judge(pack, rule.require, flow)
    if verdict.errors:
        return _Judged(explain.finding(pack, rule, "error", item, problems=verdict.errors), flow=flow)
    if verdict.holds:
        return _Judged(explain.finding(pack, rule, "pass", item), flow=flow)
    if rule.unless is None:
        return _Judged(explain.finding(pack, rule, "fail", item, failed=verdict.failed), flow=flow)
    guards = facts.document["safeguards"]
    judged = [(guard, case.judge(pack, rule.unless, flow, position)) for position, guard in enumerate(guards)]
    return _excused(pack, rule, item, flow, verdict, judged)


def _excused(
    pack: CompiledPack,
    rule: CompiledRule,
    item: Mapping[str, Any],
    flow: int,
    verdict: Verdict,
    judged: Sequence[tuple[Mapping[str, Any], Verdict]],
) -> _Judged:
    """A failed requirement against every safeguard: the one that lasts longest excuses, else the closest are named."""
    covering = [safeguard for safeguard, found in judged if found.holds]
    if covering:
        best = max(covering, key=lambda safeguard: (not safeguard["expires_at"], safeguard["expires_at"]))
        passed = explain.finding(pack, rule, "pass", item, failed=verdict.failed, waived_by=str(best["id"]))
        return _Judged(passed, until=str(best["expires_at"]), flow=flow)
    closest = explain.nearest([(str(safeguard["id"]), found) for safeguard, found in judged])
    errors = [error for _, found in judged for error in found.errors]
    outcome = explain.finding(
        pack,
        rule,
        "error" if errors else "fail",
        item,
        failed=verdict.failed,
        closest=closest,
        problems=errors,
    )
    return _Judged(outcome, flow=flow)


def _uncovered(packs: Sequence[CompiledPack], judged: Sequence[_Judged], facts: Facts) -> list[Finding]:
    """Personal flows with people of whom no blocking residency rule spoke; a pack without jurisdiction means all."""
    speaks = {
        (pack.id, compiled.rule.id): pack.pack.jurisdictions or ("",)
        for pack in packs
        for compiled in pack.rules
        if _is_residency(compiled)
    }
    covered: dict[int, set[str]] = {}
    for one in judged:
        if one.flow >= 0:
            covered.setdefault(one.flow, set()).update(speaks.get((one.finding.pack, one.finding.rule), ()))
    return [
        explain.uncovered(flow, people)
        for position, flow in enumerate(facts.document["flows"])
        if flow["personal"]
        for people in flow["data_subjects"]
        if people == UNKNOWN or not ("" in covered.get(position, ()) or people in covered.get(position, ()))
    ]


def _is_residency(compiled: CompiledRule) -> bool:
    return compiled.rule.concern == "residency" and compiled.rule.severity == "block"


def _lawless(packs: Sequence[CompiledPack], facts: Facts) -> list[Finding]:
    """Personal flows under a law for which no pack that applies here has a blocking residency rule.

    The people of a flow do not tell which law governs it; that one must be spoken for as well. A flow whose law nobody
    recorded is left to the rules: its people are covered, or it is denied for them.
    """
    spoken = {
        code
        for pack in packs
        if pack.speaks(facts)
        and any(one.rule.concern == "residency" and one.rule.severity == "block" for one in pack.rules)
        for code in pack.pack.jurisdictions or ("",)
    }
    return [
        explain.lawless(flow)
        for flow in facts.document["flows"]
        if flow["personal"] and "" not in spoken and flow.get("perimeter", UNKNOWN) not in (*spoken, UNKNOWN)
    ]


def _no_rules(packs: Sequence[CompiledPack], facts: Facts) -> Finding:
    return explain.engine_finding(
        explain.NO_RULES,
        subject=facts.subject,
        message="No active rule applies, so nothing can be allowed" if packs else "No policy pack is active",
        remedy="Activate the packs that apply to this environment",
        who=("compliance_officer",),
        where="/policies",
    )
