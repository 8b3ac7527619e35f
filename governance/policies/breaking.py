"""Break-glass: what an emergency may go without, and nothing more. Pure, like everything that decides.

Only missing signatures are skipped, and only of rules that say so (``break_glass``). A rule that fails or cannot be
decided, an incident, a rejection by a person who may sign, and a sign-off rule that cannot be evaluated deny as ever:
``lane`` is asked only about a decision that waits for signatures. The gate and a replay ask it alike, on stored facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from governance.policies.compile import CompiledPack
from governance.policies.facts import Facts
from governance.policies.parts import BreakGlass, SignOffRule
from governance.policies.quorum import Missing, SignOffState
from governance.policies.results import Decision, Finding
from governance.policies.signatures import People
from governance.policies.vocabulary import parse_time


@dataclass(frozen=True, slots=True)
class Terms:
    """What several rules together allow: the strictest of each. ``refusal`` says why nothing may be skipped."""

    roles: frozenset[str] = frozenset()
    review_by: frozenset[str] = frozenset()
    max_duration: timedelta = timedelta()
    review_within: timedelta = timedelta()
    cannot_override: frozenset[str] = frozenset()
    refusal: str = ""


def terms_of(packs: Sequence[CompiledPack], facts: Facts, missing: Iterable[Missing]) -> Terms:
    """On which terms the ``missing`` signatures may be skipped. A rule that does not say so refuses for all."""
    rules = _rules(packs, facts, {one.rule for one in missing})
    closed = sorted({rule.id for rule in rules if rule.break_glass is None})
    if closed or not rules:
        named = ", ".join(closed) or "No sign-off rule"
        return Terms(refusal=f"{named} does not say break_glass: no emergency goes without its signatures")
    every: list[BreakGlass] = [rule.break_glass for rule in rules if rule.break_glass is not None]
    found = Terms(
        roles=frozenset.intersection(*(frozenset(one.roles) for one in every)),
        review_by=frozenset.intersection(*(frozenset(one.review_by) for one in every)),
        max_duration=min(one.max_duration for one in every),
        review_within=min(one.review_within for one in every),
        cannot_override=frozenset().union(*(one.cannot_override for one in every)),
    )
    if not found.roles or not found.review_by:
        return Terms(refusal="The sign-off rules name no role in common that could declare or review an emergency")
    return found


def _rules(packs: Sequence[CompiledPack], facts: Facts, ids: set[str]) -> list[SignOffRule]:
    return [one.rule for pack in packs if pack.speaks(facts) for one in pack.signoffs if one.rule.id in ids]


def stacked(terms: Terms, decision: Decision, packs: Sequence[CompiledPack]) -> tuple[Finding, ...]:
    """What fails, is excused by a waiver, and must hold by itself in an emergency."""
    residency = {one.rule.id for pack in packs for one in pack.rules if one.rule.concern == "residency"}
    kept = terms.cannot_override
    return tuple(
        one
        for one in decision.findings
        if one.severity == "block"
        and one.outcome == "fail"
        and ({one.rule, one.pack} & kept or ("residency" in kept and one.rule in residency))
    )


def lane(
    decision: Decision,
    state: SignOffState,
    packs: Sequence[CompiledPack],
    facts: Facts,
    people: People,
    subject_digest: str,
) -> tuple[Decision, str]:
    """The decision with what an emergency skips, and its reference; unchanged, with an empty one, when none runs."""
    if decision.word != "pending" or state.state != "awaiting_signoff" or not facts.emergencies:
        return decision, ""
    terms = terms_of(packs, facts, state.missing)
    if terms.refusal or stacked(terms, decision, packs):
        return decision, ""
    running = [one for one in facts.emergencies if _runs(one, terms, facts, people, subject_digest)]
    if not running:
        return decision, ""
    best = max(running, key=lambda one: (one["ends_at"], one["id"]))
    skipped = [_skipped(rule, state.missing, best, facts) for rule in _rules(packs, facts, _ids(state.missing))]
    ends = [text for text in (decision.valid_until, best["ends_at"]) if text]
    allowed = replace(
        decision,
        word="allow",
        summary=f"Emergency {best['id']}: goes without {_asked(state.missing)} until {best['ends_at']}",
        findings=(*skipped, *decision.findings),
        valid_until=min(ends),
    )
    return allowed, str(best["id"])


def _ids(missing: Iterable[Missing]) -> set[str]:
    return {one.rule for one in missing}


def _runs(one: Mapping[str, Any], terms: Terms, facts: Facts, people: People, subject_digest: str) -> bool:
    """Whether this emergency counts now, for exactly this: nothing of it is taken on trust from whoever recorded it."""
    now = facts.document["now"]
    pair = (str(one["invoked_by"]), str(one["confirmed_by"]))
    partial = {
        people.requester,
        facts.document["promotion"]["requested_by"],
        *people.contributors,
        *facts.document["version"]["trained_by"],
    }
    return (
        one["subject_digest"] == subject_digest
        and (one["version"], one["environment"]) == (facts.subject, facts.document["environment"]["slug"])
        and one["starts_at"] <= now < one["ends_at"]
        and parse_time(one["ends_at"]) - parse_time(one["starts_at"]) <= terms.max_duration
        and pair[0] != pair[1]
        and all(each.startswith("user:") and people.roles.get(each, frozenset()) & terms.roles for each in pair)
        and pair[1] not in partial
    )


def _asked(missing: Iterable[Missing]) -> str:
    return ", ".join(f"{one.n} × {one.role}" for one in missing)


def _skipped(rule: SignOffRule, missing: Sequence[Missing], one: Mapping[str, Any], facts: Facts) -> Finding:
    """A sign-off rule that failed and blocks no more while the emergency runs."""
    mine = [each for each in missing if each.rule == rule.id]
    glass = rule.break_glass
    return Finding(
        rule=rule.id,
        pack="",
        outcome="fail",
        severity="block",
        title=rule.title,
        cites=(),
        subject=facts.subject,
        path=(),
        facts=dict(one),
        failed=tuple(each.role for each in mine),
        closest=(),
        waived_by=str(one["id"]),
        message=(
            f"{one['id']} goes without {_asked(mine)} until {one['ends_at']}: {one['invoked_by']} declared it for"
            f" {one['incident']}, {one['confirmed_by']} confirmed it"
        ),
        remedy=f"Review {one['id']} when it is over, and have the version signed",
        who=glass.review_by if glass else (),
        where=f"/emergencies/{one['id']}",
    )
