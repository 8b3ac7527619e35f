"""From a set that flips the few flows to what is offered: it flips them all, and nothing in it is more than needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from governance.policies.actions import Action, FlowKey, Mend, Record, State
from governance.policies.leave import Waive
from governance.policies.moves import Move
from governance.policies.results import Finding
from governance.policies.search import DEPTH
from governance.policies.trials import Spent, Trials


def cost(actions: Sequence[Action]) -> tuple[int, int, tuple[str, ...]]:
    """What is smaller and cheaper comes first; ties go to the names."""
    return len(actions), sum(each.rank for each in actions), tuple(each.name for each in actions)


class Settling:
    """The facts of one decision, what blocks there, and the evaluations that are left for them."""

    def __init__(self, state: State, blocking: tuple[Finding, ...], trials: Trials) -> None:
        self.state = state
        self.blocking = blocking
        self._trials = trials

    def after(self, actions: Iterable[Action]) -> State:
        """The packs and facts when all of it was done."""
        state = self.state
        for each in actions:
            state = each.applied(state)
        return state

    def least(self, actions: Sequence[Action]) -> tuple[Action, ...] | None:
        """A set that flips, cut to what each action is needed for, with the alternatives that do as well. None when no
        evaluation is left to find it.
        """
        try:
            fitted = self._fitted(actions)
            if fitted is None:
                return None
            found = self._smallest_part(self._cut(fitted))
            return tuple(self._with_alternatives(found, position) for position in range(len(found)))
        except Spent:
            return None

    def on_all(
        self, actions: Sequence[Action], alike: Mapping[FlowKey, tuple[FlowKey, ...]]
    ) -> tuple[Action, ...] | None:
        """What was cut on few flows, for all that they stand for. None when it does not flip here, or when one of its
        actions is not needed here.
        """
        try:
            fitted = self._fitted([_afresh(each, alike) for each in actions])
            if fitted is None:
                return None
            for position in range(len(fitted)) if len(fitted) > 1 else ():
                others = fitted[:position] + fitted[position + 1 :]
                blocking = self._blocking_after(others)
                if not blocking:
                    return None
                fitted = self._if_it_flips(fitted, position, fitted[position].fit(self.after(others), blocking))
        except Spent:
            return None
        return tuple(fitted)

    def _fitted(self, actions: Sequence[Action]) -> list[Action] | None:
        """Each fitted to what blocks at its turn; None when it does not flip."""
        state, blocking = self.state, self.blocking
        fitted: list[Action] = []
        for position, each in enumerate(actions):
            fitted.append(each.fit(state, blocking))
            state = fitted[-1].applied(state)
            if position + 1 == len(actions) or isinstance(actions[position + 1], Mend | Record | Waive):
                blocking = self._trials.blocking(state)
        return None if blocking else fitted

    def _blocking_after(self, actions: Sequence[Action]) -> tuple[Finding, ...]:
        return self._trials.blocking(self.after(actions)) if actions else self.blocking

    def _flips(self, actions: Sequence[Action]) -> bool:
        return not self._blocking_after(actions)

    def _cut(self, actions: list[Action]) -> tuple[Action, ...]:
        """Each action only for what the others leave; one that is not needed at all goes."""
        position = 0
        while position < len(actions):
            others = actions[:position] + actions[position + 1 :]
            blocking = self._blocking_after(others)
            if not blocking:
                actions = others
                continue
            actions = self._if_it_flips(actions, position, actions[position].fit(self.after(others), blocking))
            for name in _mends(actions[position]):
                one = actions[position]
                if isinstance(one, Mend) and len(one.mends) > 1:
                    actions = self._if_it_flips(actions, position, one.without(name))
            position += 1
        return tuple(actions)

    def _if_it_flips(self, actions: list[Action], position: int, less: Action) -> list[Action]:
        if less == actions[position]:
            return actions
        tried = [*actions[:position], less, *actions[position + 1 :]]
        return tried if self._flips(tried) else actions

    def _smallest_part(self, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """The smallest part of it that flips. Of more than ``DEPTH`` only single actions were left out."""
        if len(actions) <= DEPTH:
            for size in range(1, len(actions)):
                for part in combinations(actions, size):
                    if self._flips(part):
                        return part
        return actions

    def _with_alternatives(self, actions: tuple[Action, ...], position: int) -> Action:
        """The action with those of its alternatives that do as well in this set."""
        one = actions[position]
        fine = [
            index
            for index, other in enumerate(_alternatives(one))
            if self._flips((*actions[:position], other, *actions[position + 1 :]))
        ]
        if isinstance(one, Move):
            return replace(one, also=tuple(one.also[index] for index in fine))
        if isinstance(one, Record):
            return replace(one, also=tuple(one.also[index] for index in fine))
        return one


def _afresh(one: Action, alike: Mapping[FlowKey, tuple[FlowKey, ...]]) -> Action:
    """The action before it was fitted to the few flows, for all that they stand for."""
    if isinstance(one, Mend):
        return Mend(one.id, only=one.mends)
    if isinstance(one, Move):
        return replace(one, flows=tuple(sorted({key for few in one.flows for key in alike.get(few, (few,))})))
    return one


def _alternatives(one: Action) -> Iterator[Action]:
    if isinstance(one, Move):
        yield from (replace(one, to=place) for place in one.also)
    elif isinstance(one, Record):
        yield from (replace(one, type=name) for name in one.also)


def _mends(one: Action) -> tuple[str, ...]:
    return one.mends if isinstance(one, Mend) else ()
