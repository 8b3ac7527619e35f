"""A pack tried on its own cases: what it says of each, beside what its author expects. Pure, and kept by content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from governance.policies.compile import CompiledPack, compile_pack
from governance.policies.evaluate import evaluate
from governance.policies.given import SUBJECT, Case, Wanted, read_cases
from governance.policies.quorum import signoff_state
from governance.policies.results import Decision
from governance.policies.written import PackError, Problem

#: Of several findings of one rule, the one that tells.
_WORST = ("error", "fail", "pass", "not_applicable")
_SIGNED = {
    "approved": "pass",
    "not_required": "not_applicable",
    "awaiting_signoff": "fail",
    "rejected": "fail",
    "error": "error",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What came out where something was expected. For a word of the whole pack ``failed`` names the rules that block;
    for a sign-off rule it names the roles that have not signed. ``why`` is a sentence, or empty."""

    wanted: Wanted
    outcome: str
    failed: tuple[str, ...]
    why: str

    @property
    def holds(self) -> bool:
        """Whether exactly what was expected came out."""
        return self.outcome == self.wanted.outcome and self.wanted.failed in (None, self.failed)

    @property
    def expected(self) -> str:
        """``fail [in_region]``."""
        return _said(self.wanted.outcome, self.wanted.failed or ())

    @property
    def said(self) -> str:
        """The same of what came out."""
        return _said(self.outcome, self.failed)

    def as_json(self) -> dict[str, Any]:
        """``rule`` is null for the word of the whole pack; ``failed`` of what is expected is null when any will do."""
        wanted = self.wanted
        return {
            "rule": wanted.rule or None,
            "line": wanted.line,
            "column": wanted.column,
            "holds": self.holds,
            "expected": {
                "outcome": wanted.outcome,
                "failed": list(wanted.failed) if wanted.failed is not None else None,
            },
            "found": {"outcome": self.outcome, "failed": list(self.failed), "why": self.why},
        }


@dataclass(frozen=True, slots=True)
class Tried:
    """A case with what came out of it."""

    case: Case
    found: tuple[Found, ...]

    @property
    def holds(self) -> bool:
        """Whether everything that it expects came out. One that expects nothing holds nothing."""
        return bool(self.found) and all(one.holds for one in self.found)

    def as_json(self) -> dict[str, Any]:
        """JSON without floats."""
        case = self.case
        return {
            "name": case.name,
            "line": case.line,
            "column": case.column,
            "holds": self.holds,
            "expectations": [one.as_json() for one in self.found],
        }


def try_cases(pack: CompiledPack) -> tuple[Tried, ...]:
    """Every case of the pack with what came out. Raises ``PackError`` when cases are written wrongly.

    The pack is alone: no other pack covers what it does not speak about. Whether what comes out is what will be decided
    at a gate is the back-test's question.
    """
    return _tried(pack.text)


@lru_cache(maxsize=256)
def _tried(text: str) -> tuple[Tried, ...]:
    pack = compile_pack(text)
    return tuple(Tried(case, tuple(_look(pack, case))) for case in read_cases(pack))


def broken_cases(pack: CompiledPack) -> tuple[Problem, ...]:
    """A problem for each expectation that does not hold, and for everything that is written wrongly in a case."""
    try:
        tried = try_cases(pack)
    except PackError as error:
        return error.problems
    return tuple(
        Problem(
            one.wanted.line,
            one.wanted.column,
            one.wanted.rule,
            f"The case {each.case.name!r} expects {one.expected}; {one.said} came out{f': {one.why}' * bool(one.why)}.",
        )
        for each in tried
        for one in each.found
        if not one.holds
    )


def _look(pack: CompiledPack, case: Case) -> Iterator[Found]:
    tried = pack if pack.pack.enabled else replace(pack, rules=pack.disabled)
    decision = evaluate([tried], case.facts)
    signed = {one.rule.id for one in pack.signoffs}
    for wanted in case.wanted:
        if not wanted.rule:
            blocking = tuple(dict.fromkeys(one.rule for one in decision.blocking))
            yield Found(wanted, decision.word, blocking, decision.summary.rstrip("."))
        elif wanted.rule in signed:
            yield _signatures(tried, case, wanted)
        else:
            yield _rule(decision, wanted)


def _rule(decision: Decision, wanted: Wanted) -> Found:
    """The worst that a rule found, with every condition that failed in findings as bad as that."""
    findings = [one for one in decision.findings if one.rule == wanted.rule]
    outcome = next(word for word in _WORST if any(one.outcome == word for one in findings))
    worst = [one for one in findings if one.outcome == outcome]
    why = worst[0].message.rstrip(".") if outcome in ("fail", "error") else ""
    return Found(wanted, outcome, tuple(sorted({name for one in worst for name in one.failed})), why)


def _signatures(pack: CompiledPack, case: Case, wanted: Wanted) -> Found:
    """What the signatures of the case amount to for one sign-off rule."""
    alone = replace(pack, signoffs=tuple(one for one in pack.signoffs if one.rule.id == wanted.rule))
    if not pack.speaks(case.facts):
        return Found(wanted, "not_applicable", (), "")
    state = signoff_state([alone], case.facts, case.events, case.people, SUBJECT)
    failed = ("rejected",) if state.state == "rejected" else tuple(sorted({one.role for one in state.missing}))
    ignored = ", ".join(f"{one.by} {one.why.replace('_', ' ')}" for one in state.ignored)
    return Found(wanted, _SIGNED[state.state], failed, "; ".join(filter(None, (*state.problems, ignored))))


def _said(outcome: str, failed: tuple[str, ...]) -> str:
    word = outcome.replace("_", " ")
    return f"{word} ({', '.join(failed)})" if failed else word
