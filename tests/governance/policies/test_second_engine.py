"""Every shipped expression gives the same value on a second CEL engine, written in another language by others.

Ours reads typed protobuf facts; the other, the Rust crate behind ``common-expression-language``, reads plain maps. What
both say alike does not hang on one implementation, which is also the tested way out should ours be abandoned.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import cel
from cel.stdlib import add_stdlib_to_context

from governance.policies import CompiledPack, Facts, compile_pack, shipped_packs
from governance.policies.compile import Conditions
from governance.policies.facts import _summary
from governance.policies.vocabulary import STRUCTS, VARIABLES, message_of, parse_time
from governance.policies.written import Text
from tests.governance.policies.dice import throw

#: (pack, rule, condition)
Place = tuple[str, str, str]
#: Expressions that no fact can make false or true, each with its reason.
CONSTANT: dict[Place, str] = {}
CASES = 300
PAPERS = ("safeguard", "evidence", "explanation")


def _expressions(pack: CompiledPack) -> Iterator[tuple[Place, Text, Conditions, int]]:
    """Every expression: its place, its text, its compiled group and its position there."""
    for compiled in (*pack.rules, *pack.disabled):
        rule = compiled.rule
        named = {"when": ([("when", rule.when)] if rule.when else [], compiled.when)}
        named |= {"require": (list(rule.require), compiled.require), "unless": (list(rule.unless), compiled.unless)}
        named |= {"needs": (list(rule.needs), compiled.needs)}
        for part, (texts, group) in named.items():
            for position, (name, text) in enumerate(texts):
                assert group is not None
                yield (pack.id, rule.id, f"{part}.{name}"), text, group, position
    for signoff in pack.signoffs:
        yield (pack.id, signoff.rule.id, "applies_when"), signoff.rule.applies_when, signoff.applies_when, 0
        for number, (slot, (_, _, when)) in enumerate(zip(signoff.rule.require, signoff.slots, strict=True)):
            if slot.when is not None and when is not None:
                yield (pack.id, signoff.rule.id, f"slot{number}.when"), slot.when, when, 0


def _plain(struct: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A fact as a plain map: an unset time is no key at all."""
    found: dict[str, Any] = {}
    for word in STRUCTS[struct]:
        if word.kind == "timestamp":
            if values[word.name]:
                found[word.name] = parse_time(values[word.name])
        elif not word.shown_only:
            found[word.name] = values.get(word.name, "") if word.absent_when_empty else values[word.name]
    return found


def _worlds(pack: CompiledPack, facts: Facts) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each flow with each safeguard (or with none), each piece of evidence and each explanation, for both engines."""
    document = facts.document
    ours = {**facts.singles, "now": facts.now, "params": pack.params}
    plain: dict[str, Any] = {
        name: _plain(VARIABLES[name], document[name]) for name in ("model", "version", "environment", "promotion")
    }
    plain["data"] = _summary(document["flows"])
    plain |= {"now": facts.now}
    plain["params"] = {name: list(value) if isinstance(value, tuple) else value for name, value in pack.pack.params}
    for values, flow in facts.flows:
        for guard in (*facts.safeguards, None):
            more_ours, more_plain = {"flow": flow}, {"flow": _plain("Flow", values)}
            if guard is not None:
                more_ours["safeguard"], more_plain["safeguard"] = guard[1], _plain("Safeguard", guard[0])
            yield {**ours, **more_ours}, {**plain, **more_plain}
    for piece in facts.evidence:
        yield {**ours, "evidence": message_of("Evidence", piece)}, {**plain, "evidence": _plain("Evidence", piece)}
    for one in facts.explanations:
        yield (
            {**ours, "explanation": message_of("Explanation", one)},
            {**plain, "explanation": _plain("Explanation", one)},
        )


def test_every_shipped_expression_has_the_same_value_on_a_second_engine() -> None:
    dice = random.Random(20261122)
    packs = [compile_pack(text) for text in shipped_packs().values()]
    listed = [(pack, list(_expressions(pack))) for pack in packs]
    programs = {place: cel.compile(text.value) for _, found in listed for place, text, _, _ in found}
    seen: Counter[tuple[Place, bool]] = Counter()
    for _ in range(CASES):
        facts = throw(dice).facts
        for pack, found in listed:
            for ours, plain in _worlds(pack, facts):
                context = cel.Context(plain)
                add_stdlib_to_context(context)
                verdicts = {}
                for place, _text, group, position in found:
                    if any((paper in group.needs) != (paper in ours) for paper in PAPERS):
                        continue
                    if "flow" in group.needs and "flow" not in ours:
                        continue
                    if id(group) not in verdicts:
                        verdicts[id(group)] = group.judge(ours)
                        assert not verdicts[id(group)].errors
                    mine = group.named[position][0] not in verdicts[id(group)].failed
                    assert mine is programs[place].execute(context), (place, plain)
                    seen[place, mine] += 1
    for place in programs:
        for value in (True, False):
            assert seen[place, value] or place in CONSTANT, f"{place} was never {value}"
