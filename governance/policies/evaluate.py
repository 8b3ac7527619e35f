"""Rules over facts. The same packs and the same facts give the same decision, byte for byte, on any day.

Never an allow by absence: no packs, no blocking rule that passed, or personal data about which no residency rule of
the right jurisdiction speaks, each is a blocking finding, and so is an incident that holds the version. Packs are a
conjunction; none can override another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from governance.policies import explain
from governance.policies.compile import ENGINE, CompiledPack, CompiledRule
from governance.policies.facts import Facts
from governance.policies.quorum import SignOffState
from governance.policies.results import Decision, Finding, Word
from governance.policies.verdicts import Judged, judge
from governance.policies.vocabulary import UNKNOWN, format_time

_ORDER = {"fail": 0, "error": 1, "pass": 2, "not_applicable": 3}
_SEVERITY = {"block": 0, "warn": 1, "inform": 2}


class _Weighed(NamedTuple):
    """Everything that was judged, what the engine itself has to say, and the word that follows."""

    word: Word
    judged: Sequence[Judged]
    engine: Sequence[Finding]


def evaluate(packs: Sequence[CompiledPack], facts: Facts) -> Decision:
    """Decide. Never raises for what a rule or a fact says: what cannot be decided is a finding that blocks.

    The word is ``deny`` when anything blocks or an incident holds the version, ``error`` when no rule could speak at
    all, else ``allow``; ``pending`` comes from ``conclude``.
    """
    packs = _in_order(packs)
    word, judged, engine = _weigh(packs, facts)
    findings = sorted([*(explain.finding(one) for one in judged), *engine], key=_first)
    return Decision(
        word=word,
        summary=explain.summary_of(word, findings),
        findings=tuple(findings),
        policy=tuple(pack.reference for pack in packs),
        facts_digest=facts.digest,
        engine=dict(ENGINE),
        valid_until=min([*(one.until for one in judged if one.until), *_reviews_due(facts)], default=""),
    )


def word_of(packs: Sequence[CompiledPack], facts: Facts) -> Word:
    """The word of ``evaluate`` without its explanation."""
    return _weigh(_in_order(packs), facts).word


def _in_order(packs: Sequence[CompiledPack]) -> list[CompiledPack]:
    return sorted({pack.digest: pack for pack in packs}.values(), key=lambda pack: (pack.id, pack.version))


def _weigh(packs: Sequence[CompiledPack], facts: Facts) -> _Weighed:
    judged = judge(packs, facts)
    engine = [*_uncovered(judged, facts), *_lawless(packs, facts)] if packs else []
    word: Word = "deny" if engine or any(one.blocks for one in judged) else "allow"
    spoke = any(one.outcome != "not_applicable" and one.rule.rule.severity == "block" for one in judged)
    if not spoke and not engine:
        engine.append(_no_rules(packs, facts))
        word = "error"
    if facts.incidents:
        engine += [explain.frozen(incident, facts.subject) for incident in facts.incidents]
        word = "deny"
    if facts.overdue_reviews and goes_forward(facts):
        engine += [explain.overdue(review, facts.subject) for review in facts.overdue_reviews]
        word = "deny"
    return _Weighed(word, judged, engine)


def goes_forward(facts: Facts) -> bool:
    """Whether more traffic would go to the version. What serves is left alone, and going back stays easy."""
    return facts.document["promotion"]["action"] not in ("rollback", "run")


def _reviews_due(facts: Facts) -> list[str]:
    """When the reviews that are still open would hold the model."""
    due = [str(one["due_at"]) for one in facts.document.get("reviews", ())] if goes_forward(facts) else []
    return [moment for moment in due if moment > facts.document["now"]]


def _first(one: Finding) -> tuple[bool, bool, int, int, str, str]:
    """Incidents, then what blocks, then by outcome, severity and name."""
    frozen = one.rule == explain.FROZEN
    return (not frozen, not one.blocks, _ORDER[one.outcome], _SEVERITY[one.severity], one.rule, one.subject)


def conclude(decision: Decision, signoffs: SignOffState) -> Decision:
    """The decision of the rules and the state of the signatures together; only both together allow.

    Signatures never mend a denial. A standing rejection denies, missing ones make it ``pending``, and a sign-off rule
    that cannot be evaluated, or no sign-off rule at all, makes it ``error``.
    """
    word = concluded(decision.word, signoffs)
    if decision.word != "allow":
        return decision
    if word == "allow":
        ends = [text for text in (decision.valid_until, _end(signoffs)) if text]
        return replace(decision, valid_until=min(ends, default=""))
    if word == "pending":
        needed = ", ".join(f"{missing.n} × {missing.role}" for missing in signoffs.missing)
        return replace(decision, word=word, summary=f"Waiting for sign-offs: {needed or 'more people'}")
    if word == "deny":
        return replace(decision, word=word, summary="Rejected by a person who may sign")
    problems = "; ".join(signoffs.problems) or "The sign-off rules cannot be decided"
    return replace(decision, word=word, summary=problems)


def concluded(word: Word, signoffs: SignOffState) -> Word:
    """The word of ``conclude``."""
    if word != "allow":
        return word
    words: dict[str, Word] = {"approved": "allow", "not_required": "allow", "awaiting_signoff": "pending"}
    return words.get(signoffs.state, "deny" if signoffs.state == "rejected" else "error")


def _end(signoffs: SignOffState) -> str:
    return format_time(signoffs.valid_until) if signoffs.valid_until else ""


def _uncovered(judged: Sequence[Judged], facts: Facts) -> list[Finding]:
    """Personal flows with people of whom no blocking residency rule spoke; a pack without jurisdiction means all."""
    covered: dict[int, set[str]] = {}
    for one in judged:
        if one.flow >= 0 and _is_residency(one.rule):
            covered.setdefault(one.flow, set()).update(one.pack.pack.jurisdictions or ("",))
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
        if pack.speaks(facts) and any(_is_residency(one) for one in pack.rules)
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
