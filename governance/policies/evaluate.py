"""Rules over facts."""

from __future__ import annotations

from collections.abc import Sequence

from governance.policies.compile import CompiledPack
from governance.policies.facts import Facts
from governance.policies.quorum import SignOffState
from governance.policies.results import Decision


def evaluate(packs: Sequence[CompiledPack], facts: Facts) -> Decision:
    """Decide; never raises for what rules or facts say."""
    raise NotImplementedError


def conclude(decision: Decision, signoffs: SignOffState) -> Decision:
    """The decision of the rules and the state of the signatures together."""
    raise NotImplementedError
