"""A draft on the past: what each stored decision would have been with the draft among its packs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governance.policies.compile import CompiledPack
from governance.policies.evaluate import evaluate
from governance.policies.facts import Facts, MissingFact, thaw
from governance.policies.results import Finding
from governance.policies.stored import outcome, read_inputs


@dataclass(frozen=True, slots=True)
class Stored:
    """What was kept of a decision. ``packs`` are those that decided it."""

    id: str
    outcome: str
    facts: Mapping[str, Any]
    facts_digest: str
    inputs: Mapping[str, Any]
    packs: tuple[CompiledPack, ...]


@dataclass(frozen=True, slots=True)
class Flip:
    """A decision that the draft turns. ``rules`` block on one side only; none when signatures make the difference."""

    id: str
    then: str
    now: str
    rules: tuple[str, ...]


def with_draft(packs: Sequence[CompiledPack], draft: CompiledPack) -> tuple[CompiledPack, ...]:
    """The packs with ``draft`` instead of its other version, or besides when there was none."""
    return (*(pack for pack in packs if pack.id != draft.id), draft)


def flipped(stored: Stored, draft: CompiledPack) -> Flip | None:
    """How the draft turns a decision; None when the outcome stays.

    The signatures count for the subject that their people saw: another pack would have made another subject, and what
    is asked here is only who would have had to sign. Raises ``MissingFact`` when what was kept is not whole.
    """
    facts = thaw(stored.facts)
    if facts.digest != stored.facts_digest:
        raise MissingFact("facts", stored.id, f"The stored facts of {stored.id} do not give their digest.")
    packs = with_draft(stored.packs, draft)
    now = outcome(packs, facts, read_inputs(stored.inputs))
    if now == stored.outcome:
        return None
    return Flip(stored.id, stored.outcome, now, turning(stored.packs, packs, facts))


def turning(before: Sequence[CompiledPack], after: Sequence[CompiledPack], facts: Facts) -> tuple[str, ...]:
    """The rules that block with one of the two and not with the other, sorted."""
    then, now = (_blocking(evaluate(packs, facts).findings) for packs in (before, after))
    return tuple(sorted({rule for rule, _ in then ^ now}))


def _blocking(findings: Sequence[Finding]) -> set[tuple[str, str]]:
    return {(one.rule, one.subject) for one in findings if one.blocks}
