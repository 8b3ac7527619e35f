"""20,000 random histories with delegates, turns, vetoes, withdrawals and a clock that jumps, against an oracle."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from governance.policies import CompiledPack, Facts, People, SignOffEvent, SignOffState, compile_pack, signoff_state
from tests.governance.policies.cases import NOW, facts
from tests.governance.policies.signoff_oracle import Rule, verdict

HISTORIES, PIECES = 20_000, 8
SUBJECT, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
PERSONS = tuple(f"user:{letter}" for letter in "abcdefg")
L, C, D = "ml_lead", "compliance_officer", "dpo"
MONTH = timedelta(days=30)
#: The same rule twice: for the oracle, and in the words of a pack.
RULES = (
    (Rule(((L,), (C,))), ""),
    (Rule(((L,), (C,), (D,))), "require: [{role: ml_lead, n: 1}, {role: compliance_officer, n: 1}, {role: dpo, n: 1}]"),
    (Rule(((L,), (L,), (C,))), "require: [{role: ml_lead, n: 2}, {role: compliance_officer, n: 1}]"),
    (Rule(((L,), (C,)), order=(L, C)), "order: [ml_lead, compliance_officer]"),
    (Rule(((L,), (C,)), veto=(C,), contributors_out=False), "veto: [compliance_officer]\n    exclude: [requester]"),
    (Rule(((L,), (C,)), veto=(), factors=2), "veto: none\n    reauth: {max_age_s: 300, factors: 2}"),
    (Rule(((L,), (C,)), longest=MONTH), "delegation: {allowed: true, max: P30D, depth: 1}"),
    (
        Rule(((L,), (C,), (D,)), order=(C, L), longest=timedelta(days=3)),
        "require: [{role: ml_lead, n: 1}, {role: compliance_officer, n: 1}, {role: dpo, n: 1}]\n"
        "    order: [compliance_officer, ml_lead]\n"
        "    delegation: {allowed: true, max: P3D, not_to: [requester, contributors]}",
    ),
    (
        Rule(((L,), (C,), (L, C, D)), order=(L, C), longest=MONTH),
        "require: [{role: ml_lead, n: 1}, {role: compliance_officer, n: 1},"
        " {role: dpo, n: 1, when: \"model.risk == 'limited'\"}]\n"
        "    min_people: 3\n    order: [ml_lead, compliance_officer]\n    delegation: {allowed: true, max: P30D}",
    ),
)
TEXT = """
pack: random-{number}
version: 1
title: Random
status: draft
effective_from: 2026-01-01
signoff:
  - id: RANDOM
    title: Random
    applies_when: "true"
    distinct_people: true
    valid_for: P14D
"""
PLAIN = {
    "require": "require: [{role: ml_lead, n: 1}, {role: compliance_officer, n: 1}]",
    "exclude": "exclude: [requester, contributors]",
    "reauth": "reauth: {max_age_s: 300}",
}


def pack_of(number: int) -> CompiledPack:
    """The rule as a pack: what it does not say is as in ``PLAIN``."""
    said = RULES[number][1]
    lines = [said, *(line for name, line in PLAIN.items() if f"{name}:" not in said)]
    return compile_pack(TEXT.format(number=number) + "".join(f"    {line}\n" for line in lines if line))


@dataclass
class History:
    rule: Rule
    pack: CompiledPack
    events: list[SignOffEvent]
    who: People


class Dice:
    """Histories as they could come about: people sign, change their minds, delegate, leave; the clock jumps."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = NOW
        self.events: list[SignOffEvent] = []

    def history(self) -> History:
        chance = self.random
        number = chance.randrange(len(RULES))
        self.clock, self.events = NOW - timedelta(days=chance.choice((2, 6, 20))), []
        people = list(PERSONS)
        chance.shuffle(people)
        requester, made = people[0], frozenset(people[1 : 1 + chance.randrange(2)])
        roles = {one: frozenset(chance.sample((L, C, D), chance.choice((0, 1, 1, 1, 2, 3)))) for one in PERSONS}
        for _ in range(chance.randint(0, 6)):
            self._step(roles, RULES[number][0])
        if chance.random() < 0.7:
            self._as_it_should_be(roles, RULES[number][0])
        for _ in range(chance.randint(0, 4)):
            self._step(roles, RULES[number][0])
        if chance.random() < 0.2:
            left = chance.choice(PERSONS)
            roles = {**roles, left: frozenset()} if chance.random() < 0.5 else {k: roles[k] for k in roles if k != left}
        owners = frozenset(chance.sample(PERSONS, chance.randrange(2)))
        return History(RULES[number][0], pack_of(number), list(self.events), People(roles, requester, made, owners))

    def _as_it_should_be(self, roles: dict[str, frozenset[str]], rule: Rule) -> None:
        """Everybody who is asked signs in their turn, some by a delegate; often it is the right people."""
        for slot in sorted(rule.slots, key=lambda slot: rule.order.index(slot[0]) if slot[0] in rule.order else -1):
            role = self.random.choice(slot)
            holders = [one for one in PERSONS if role in roles[one]]
            if not holders:
                continue
            self.clock += timedelta(minutes=1)
            by, lent = self.random.choice(holders), ""
            if rule.longest is not None and self.random.random() < 0.5:
                lent = f"e{len(self.events)}"
                to = self.random.choice(PERSONS)
                until = self.clock + timedelta(days=1)
                self._add("delegated", by, role, subject_digest="", to=to, starts_at=self.clock, ends_at=until)
                by = to
            self._add("approved", by, role, reauth_at=self.clock, factors=2, delegation=lent)

    def _step(self, roles: dict[str, frozenset[str]], rule: Rule) -> None:
        chance = self.random
        hours = timedelta(hours=chance.choice((0, 1, 5, 20)))
        self.clock += -hours if chance.random() < 0.1 else hours
        what = chance.choices(("sign", "lend", "lent", "reject", "revoke", "reopen", "end"), (50, 10, 14, 5, 12, 6, 3))[
            0
        ]
        if what == "sign":
            by = chance.choice([one for one in PERSONS if roles[one]] or PERSONS)
            held = sorted(roles[by] or {L})
            self._add("approved", by, chance.choice(held if chance.random() < 0.9 else [L, C, D]), **self._proof(rule))
        elif what == "lend":
            by = chance.choice([one for one in PERSONS if roles[one]] or PERSONS)
            starts = self.clock + timedelta(hours=chance.choice((0, 0, 0, 10, -10)))
            self._add(
                "delegated",
                by,
                chance.choice(sorted(roles[by]) or [L]),
                subject_digest="",
                to=chance.choice(PERSONS),
                starts_at=starts,
                ends_at=starts + timedelta(days=chance.choice((1, 2, 2, 20, 60))),
            )
        elif what == "lent":
            given = [one for one in self.events if one.kind == "delegated"]
            if given:
                one = chance.choice(given)
                by = one.to if chance.random() < 0.95 else chance.choice(PERSONS)
                self._add("approved", by, one.role, delegation=one.id, **self._proof(rule))
        elif what == "reject":
            self._add("rejected", chance.choice(PERSONS), chance.choice((L, C, D)))
        else:
            self._undo(what)

    def _undo(self, what: str) -> None:
        kind = {"revoke": "approved", "reopen": "rejected", "end": "delegated"}[what]
        known = [one for one in self.events if one.kind == kind]
        if known:
            one = self.random.choice(known)
            by = one.by if self.random.random() < 0.7 else self.random.choice(PERSONS)
            stamped = "policy_owner" if self.random.random() < 0.1 else ""
            self._add("reopened" if what == "reopen" else "revoked", by, stamped, undoes=one.id)

    def _proof(self, rule: Rule) -> dict[str, Any]:
        ago = self.random.choice((0, 20, 300, 300, 20, 0, 0, 20, 301, -5))
        seen = OTHER if self.random.random() < 0.05 else SUBJECT
        factors = 2 if self.random.random() < 0.85 else 1
        return {"reauth_at": self.clock - timedelta(seconds=ago), "factors": factors, "subject_digest": seen}

    def _add(self, kind: Any, by: str, role: str, **more: Any) -> None:
        values = {"subject_digest": SUBJECT, **more}
        self.events.append(SignOffEvent(f"e{len(self.events)}", kind, by, role, at=self.clock, **values))


def state(one: History, at: Facts, *, events: Sequence[SignOffEvent] | None = None, **change: Any) -> SignOffState:
    who, subject = change.get("who", one.who), change.get("subject", SUBJECT)
    return signoff_state([one.pack], at, one.events if events is None else events, who, subject)


def frozen(at: datetime) -> Facts:
    return facts(trained_by=[], now=at)


@pytest.mark.parametrize("piece", range(PIECES))
def test_20_000_histories_agree_with_the_oracle_and_keep_every_promise(piece: int) -> None:
    now, late = frozen(NOW), frozen(NOW + timedelta(days=400))
    dice, seen = Dice(20261123 + piece), Counter[str]()
    for _ in range(HISTORIES // PIECES):
        one = dice.history()
        found = state(one, now)
        assert found.state == verdict(one.rule, one.events, one.who, NOW, SUBJECT), one
        seen[found.state] += 1
        seen["by a delegate"] += found.state == "approved" and any(slot.owner for slot in found.filled)
        seen["in turn"] += found.state == "approved" and bool(one.rule.order)
        seen["out of turn"] += any(each.why == "out_of_turn" for each in found.ignored)
        _people_behind_slots_are_different_and_independent(one, found)
        assert state(one, late).state != "approved", one
        assert state(one, now, subject="sha256:" + "3" * 64).state == "awaiting_signoff", one
        if found.state == "approved":
            assert found.valid_until is not None
            assert NOW < found.valid_until <= NOW + timedelta(days=14)
            everybody_left = replace(one.who, roles={})
            assert state(one, now, who=everybody_left).state == "awaiting_signoff", one
        else:
            _less_never_approves(one, found, now, dice.random)
    assert seen["approved"] > 200, seen
    assert min(seen[each] for each in ("by a delegate", "in turn", "out of turn", "rejected")) > 8, seen


def _people_behind_slots_are_different_and_independent(one: History, found: SignOffState) -> None:
    behind = [person for slot in found.filled for person in {slot.by, slot.owner} - {""}]
    assert len(behind) == len(set(behind)), one
    assert one.who.requester not in behind, one
    if one.rule.contributors_out:
        assert not one.who.contributors & set(behind), one
    for slot in found.filled:
        assert slot.role in one.who.roles[slot.owner or slot.by], one
    if found.state == "approved":
        assert len(found.filled) == len(one.rule.slots), one


def _less_never_approves(one: History, found: SignOffState, now: Facts, chance: random.Random) -> None:
    """Taking an approval or a role away, or adding what is no approval, never turns waiting into approved."""
    if not one.events:
        return
    gone = chance.choice(one.events)
    if gone.kind == "approved":
        assert state(one, now, events=[each for each in one.events if each is not gone]).state != "approved", one
    roles = dict(one.who.roles)
    if left := chance.choice(["", *roles]):
        roles[left] = roles[left] - {chance.choice((L, C, D))}
    assert state(one, now, who=replace(one.who, roles=roles)).state != "approved", one
    assert state(one, now, who=replace(one.who, policy_owners=frozenset())).state != "approved" or _owned(one), one
    if found.state == "awaiting_signoff":
        kind: Any = chance.choice(("rejected", "revoked", "reopened"))
        extra = SignOffEvent("x", kind, chance.choice(PERSONS), chance.choice((L, C)), SUBJECT, gone.at, undoes=gone.id)
        assert state(one, now, events=[*one.events, extra]).state != "approved", one


def _owned(one: History) -> bool:
    """Whether somebody took a signature back as an owner without the mark that the server gives to such a record."""
    return any(each.kind == "revoked" and each.by in one.who.policy_owners and not each.role for each in one.events)


def test_the_order_in_which_events_are_read_does_not_matter() -> None:
    dice, now = Dice(7), frozen(NOW)
    for _ in range(500):
        one = dice.history()
        assert state(one, now) == state(one, now, events=sorted(one.events, key=lambda each: each.id, reverse=True))
