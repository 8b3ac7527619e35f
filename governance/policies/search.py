"""Every set of up to ``DEPTH`` actions that flips a decision, smallest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from governance.policies.actions import Action, State
from governance.policies.results import Finding
from governance.policies.trials import Spent, Trials, read_by

#: The largest sets that are searched exhaustively, and the most that are looked for.
DEPTH = 4
_ENOUGH = 24
#: A set of actions, by their names.
_Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class _Node:
    """What is so after some actions, and what still blocks."""

    state: State
    blocking: tuple[Finding, ...]


class Search:
    """Iterative deepening over sets of actions; equal sets are looked at once."""

    def __init__(self, state: State, blocking: tuple[Finding, ...], actions: Sequence[Action], trials: Trials) -> None:
        self._trials = trials
        self._nodes: dict[tuple[str, ...], _Node] = {(): _Node(state, blocking)}
        self._order = sorted(actions, key=lambda each: (each.phase, each.name))
        #: True when no set up to the size of the first answer, or up to ``DEPTH`` without any, was left untried.
        self.exhausted = False

    def run(self, actions: Sequence[Action]) -> list[tuple[Action, ...]]:
        """The sets of ``actions`` that flip: all of the smallest size, and of one more. None contains another."""
        found: list[_Names] = []
        first = 0
        self.exhausted = False
        usable = {each.name for each in actions}
        try:
            for size in range(1, DEPTH + 1):
                self._deepen(frozenset(), size, usable, found, set())
                if found and not first:
                    first, self.exhausted = size, True
                elif first:
                    break
            self.exhausted = True
        except Spent:
            pass
        return [self._ordered(each) for each in found]

    def _deepen(self, chosen: _Names, left: int, usable: set[str], found: list[_Names], seen: set[_Names]) -> None:
        """Add to ``found`` what flips with ``left`` more actions at most; branch where there are the fewest choices."""
        if chosen in seen or len(found) >= _ENOUGH or any(each <= chosen for each in found):
            return
        seen.add(chosen)
        node = self._look(chosen)
        if not node.blocking:
            found.append(chosen)
            return
        choices = self._choices(node, chosen, usable) if left else []
        if not choices or _apart(choices) > left:
            return
        fewest = min(choices, key=lambda names: len(names))
        for name in sorted(fewest):
            self._deepen(chosen | {name}, left - 1, usable, found, seen)

    def _choices(self, node: _Node, chosen: frozenset[str], usable: set[str]) -> list[frozenset[str]]:
        """For each finding that blocks, the actions that could change it."""
        taken = {each.slot for each in self._order if each.name in chosen}
        free = [each for each in self._order if each.name in usable and each.slot not in taken]
        reads = read_by(node.state.packs)
        choices: dict[frozenset[str], None] = {}
        for finding in node.blocking:
            reading = reads.get((finding.pack, finding.rule), frozenset())
            choices[frozenset(each.name for each in free if each.touches(finding, reading))] = None
        return [*choices]

    def _ordered(self, chosen: frozenset[str]) -> tuple[Action, ...]:
        return tuple(each for each in self._order if each.name in chosen)

    def _look(self, chosen: frozenset[str]) -> _Node:
        """What is so when these are done in their order, each fitted to what blocks at its turn."""
        return self._walk(self._ordered(chosen))

    def _walk(self, actions: tuple[Action, ...]) -> _Node:
        names = tuple(each.name for each in actions)
        if names not in self._nodes:
            before = self._walk(actions[:-1])
            state = actions[-1].fit(before.state, before.blocking).applied(before.state)
            self._nodes[names] = _Node(state, self._trials.blocking(state))
        return self._nodes[names]

    def at_least(self, actions: Sequence[Action]) -> int:
        """How many actions any set that flips must have: so many findings share no action that touches them."""
        return _apart(self._choices(self._nodes[()], frozenset(), {each.name for each in actions}))

    def step_by_step(self, actions: Sequence[Action], trials: Trials) -> tuple[tuple[Action, ...], tuple[Finding, ...]]:
        """One action for each slot, the cheap ones first, whenever it leaves less; what then still blocks.

        Raises ``Spent`` when ``trials`` do not suffice.
        """
        self._trials = trials
        chosen: _Names = frozenset()
        node = self._look(chosen)
        slots: dict[str, list[Action]] = {}
        for each in sorted(actions, key=lambda one: (one.phase > 1, one.rank, one.name)):
            slots.setdefault(each.slot, []).append(each)
        for options in slots.values():
            tried = [(len(self._look(chosen | {each.name}).blocking), each.name) for each in options]
            if min(tried)[0] < len(node.blocking):
                chosen = chosen | {min(tried)[1]}
                node = self._look(chosen)
            if not node.blocking:
                break
        return self._ordered(chosen), node.blocking


def _apart(choices: Sequence[frozenset[str]]) -> int:
    """At least how many actions are needed: findings that share no action, counted greedily. None for one is never."""
    used: set[str] = set()
    count = 0
    for each in sorted(choices, key=lambda names: (len(names), sorted(names))):
        if not each:
            return DEPTH + 1
        if not each & used:
            used |= each
            count += 1
    return count
