"""Asking the engine about facts that are not so yet, within a budget, and on as few flows as tell the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from governance.policies import explain
from governance.policies.actions import FlowKey, State, key_of, key_of_finding
from governance.policies.compile import CompiledPack
from governance.policies.evaluate import evaluate
from governance.policies.facts import thaw
from governance.policies.results import Decision, Finding

#: What a finding is about: pack, rule, subject, kind of flow, and of the engine's own the reason.
Mark = tuple[str, str, str, str, tuple[str, ...]]


class Spent(Exception):  # noqa: N818  (it ends a search, it is no mistake)
    """The budget of evaluations is used up."""


class Trials:
    """Evaluations, counted; ``left`` more are allowed."""

    def __init__(self, allowed: int) -> None:
        self.left = allowed
        self.made = 0

    def decide(self, state: State) -> Decision:
        """Raises ``Spent`` when no evaluation is left."""
        if self.left <= 0:
            raise Spent
        self.left -= 1
        self.made += 1
        return evaluate(state.packs, thaw(state.document))

    def blocking(self, state: State) -> tuple[Finding, ...]:
        """What forbids it in ``state``; nothing means that the rules allow it."""
        return self.decide(state).blocking


def mark(finding: Finding) -> Mark:
    own = finding.failed if not finding.pack else ()
    return finding.pack, finding.rule, finding.subject, str(finding.facts.get("kind", "")), own


def marks(findings: Iterable[Finding]) -> frozenset[Mark]:
    return frozenset(map(mark, findings))


def read_by(packs: Iterable[CompiledPack]) -> dict[tuple[str, str], frozenset[str]]:
    """Pack and rule -> the variables that any of its expressions mentions."""
    found = {}
    for pack in packs:
        for rule in pack.rules:
            parts = [rule.when, rule.require, rule.unless, rule.needs]
            found[pack.id, rule.rule.id] = frozenset().union(*(part.needs for part in parts if part is not None))
    return found


@dataclass(frozen=True, slots=True)
class Reduced:
    """The facts with one flow for all that look alike to the rules. ``alike``: that flow -> all that it stands for."""

    state: State
    alike: Mapping[FlowKey, tuple[FlowKey, ...]]


def reduced(state: State, decision: Decision, near: int) -> Reduced:
    """Flows are alike that differ in nothing but their name, are named by the same safeguards and got the same answers.

    Of the safeguards on which nothing relies only the ``near`` that lack least are kept. A rule may still tell flows
    apart by name, so whatever is found here has to be tried on the whole.
    """
    guards = _near(state, decision, near)
    answers: dict[FlowKey, list[tuple[object, ...]]] = {}
    for one in decision.findings:
        if (key := key_of_finding(one)) is not None and one.rule != explain.FROZEN:
            answers.setdefault(key, []).append((one.rule, one.outcome, one.failed, one.waived_by))
    named: dict[str, list[str]] = {}
    for guard in guards:
        for subject in guard["subjects"]:
            named.setdefault(subject, []).append(guard["id"])
    groups: dict[object, list[FlowKey]] = {}
    kept = []
    for flow in state.document["flows"]:
        values = tuple(
            (name, tuple(value) if isinstance(value, list) else value)
            for name, value in sorted(flow.items())
            if name not in ("subject", "path")
        )
        key = key_of(flow)
        group = groups.setdefault(
            (values, tuple(named.get(flow["subject"], ())), tuple(sorted(map(repr, answers.get(key, ()))))), []
        )
        if not group:
            kept.append(flow)
        group.append(key)
    alike = {members[0]: tuple(members) for members in groups.values()}
    there = {flow["subject"] for flow in kept}
    few = [{**guard, "subjects": [each for each in guard["subjects"] if each in there]} for guard in guards]
    return Reduced(State(state.packs, {**state.document, "flows": kept, "safeguards": few}), alike)


def _near(state: State, decision: Decision, most: int) -> list[Mapping[str, Any]]:
    """The safeguards that something relies on, and of the others those that lack least."""
    relied = {one.waived_by for one in decision.findings if one.waived_by}
    lacks: dict[str, int] = {}
    for one in decision.blocking:
        for miss in one.closest:
            lacks[miss.id] = min(len(miss.failed), lacks.get(miss.id, len(miss.failed)))
    near = set(sorted(lacks, key=lambda name: (lacks[name], name))[:most])
    return [guard for guard in state.document["safeguards"] if guard["id"] in relied | near]
