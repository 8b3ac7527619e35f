"""Asking the compiled expressions about one case, each distinct question once.

An expression sees a flow, a safeguard or a piece of evidence only through the fields that its text names. Two flows
that are equal in those fields are the same question, so its answer holds for both; three hundred data sets in four
regions are four questions.
An expression that reads nothing else, no clock and no version, is a function of those values: its answers are kept for
the next decision too, by the values themselves. Only true and false are kept, never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.message import Message

from governance.policies.compile import HOLDS, CompiledPack, Conditions, Verdict, answer
from governance.policies.facts import Facts
from governance.policies.vocabulary import message_of

_STRUCT = {"flow": "Flow", "safeguard": "Safeguard", "evidence": "Evidence", "explanation": "Explanation"}
#: How many answers of one expression are kept between decisions, and how long a list may be that is part of a key.
_KEPT = 4_096
_LONG = 32
#: Tokens of the items of one variable: two items with one token look alike to whoever reads only those fields.
_Tokens = Sequence[Any] | None
#: Name, expression, what it mentions, what it can tell apart, and its answers so far.
_Asked = tuple[str, Any, frozenset[str], _Tokens, _Tokens, dict[Any, Any]]


class Case:
    """The facts of one decision with what was asked about them so far."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._items: dict[str, Sequence[Mapping[str, Any]]] = {
            "flow": facts.document["flows"],
            "safeguard": facts.document["safeguards"],
            "evidence": facts.evidence,
            "explanation": facts.explanations,
        }
        self._messages: dict[tuple[str, int], Message] = {}
        self._tokens_of: dict[tuple[str, tuple[str, ...] | None], tuple[_Tokens, bool]] = {}
        self._asked: dict[int, list[_Asked]] = {}

    def asking(self, pack: CompiledPack, conditions: Conditions) -> Callable[[int], Verdict]:
        """``judge`` about a flow by its position, -1 for none; each distinct flow is asked about once."""
        read = [of_flow for of_flow, _ in conditions.reads]
        together = None if None in read else tuple(sorted({field for fields in read for field in fields or ()}))
        tokens = self._tokens("flow", together)[0]
        verdicts: dict[Any, Verdict] = {}

        def ask(flow: int) -> Verdict:
            token = tokens[flow] if tokens else None
            found = verdicts.get(token)
            if found is None:
                found = verdicts[token] = self.judge(pack, conditions, flow)
            return found

        return ask

    def judge(self, pack: CompiledPack, conditions: Conditions, flow: int = -1, paper: int = -1) -> Verdict:
        """What ``Conditions.judge`` says about this flow and paper (safeguard, evidence ...), by position; -1 for none.

        Each condition by itself, each distinct question once. ``HOLDS`` itself when every condition said true.
        """
        asked = self._asked.get(id(conditions)) or self._ask(conditions)
        failed: list[str] = []
        errors: list[tuple[str, str]] = []
        activations: dict[frozenset[str], Any] = {}
        for name, expression, needs, flows, papers, answers in asked:
            key = (flows[flow] if flows else None, papers[paper] if papers else None)
            said = answers.get(key)
            if said is None:
                if needs not in activations:
                    activations[needs] = conditions.activation(self._values(pack, needs, flow, paper))
                said = answer(expression, activations[needs])
                if said is True or said is False:
                    answers[key] = said
            if said is True:
                continue
            if said is False:
                failed.append(name)
            else:
                errors.append((name, said))
        return Verdict(tuple(failed), tuple(errors)) if failed or errors else HOLDS

    def _ask(self, conditions: Conditions) -> list[_Asked]:
        found: list[_Asked] = []
        asked = zip(conditions.named, conditions.needs_of, conditions.reads, conditions.known, strict=True)
        for (name, expression), needs, (of_flow, of_paper), known in asked:
            flows, by_value = self._tokens("flow", of_flow)
            papers, also = self._tokens(conditions.paper, of_paper)
            answers: dict[Any, Any] = {} if known is None or not (by_value and also) else known
            if len(answers) > _KEPT:
                answers.clear()
            found.append((name, expression, needs, flows, papers, answers))
        self._asked[id(conditions)] = found
        return found

    def _tokens(self, variable: str, fields: tuple[str, ...] | None) -> tuple[_Tokens, bool]:
        """One token for each item, and whether it is made of the values themselves; none when nothing is read."""
        if fields == ():
            return None, True
        key = (variable, fields)
        if key not in self._tokens_of:
            self._tokens_of[key] = _told_apart(self._items[variable], fields)
        return self._tokens_of[key]

    def _values(self, pack: CompiledPack, needs: frozenset[str], flow: int, paper: int) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name in needs:
            if name == "now":
                given[name] = self._facts.now
            elif name == "params":
                given[name] = pack.params
            elif name in _STRUCT:
                given[name] = self._message(name, flow if name == "flow" else paper)
            else:
                given[name] = self._facts.singles[name]
        return given

    def _message(self, variable: str, position: int) -> Message:
        found = self._messages.get((variable, position))
        if found is None:
            found = message_of(_STRUCT[variable], self._items[variable][position])
            self._messages[variable, position] = found
        return found


def _told_apart(items: Sequence[Mapping[str, Any]], fields: tuple[str, ...] | None) -> tuple[Sequence[Any], bool]:
    """A token for each item by ``fields``; a number instead of the values when a list is too long to keep."""
    if fields is None:
        return range(len(items)), False
    columns: list[list[Any]] = []
    short = True
    for field in fields:
        column: list[Any] = [item.get(field) for item in items]
        if column and isinstance(column[0], list):
            short = short and max(map(len, column)) <= _LONG
            column = [tuple(value) for value in column]
        columns.append(column)
    tokens = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    if short:
        return tokens, True
    numbers: dict[Any, int] = {}
    return [numbers.setdefault(token, len(numbers)) for token in tokens], False
