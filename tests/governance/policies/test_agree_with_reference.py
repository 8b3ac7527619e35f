"""The engine against a plain Python reading of every shipped pack (``oracle``), on random facts."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from itertools import combinations, permutations

import pytest

from governance.policies import (
    CompiledPack,
    Decision,
    People,
    SignOffEvent,
    compile_pack,
    evaluate,
    shipped_packs,
    signoff_state,
)
from governance.policies.evaluate import word_of
from tests.governance.policies.cases import NOW, shipped
from tests.governance.policies.dice import throw
from tests.governance.policies.oracle import LAWS, Answers, expected

CASES = 1_500
WITH_RULES = [name for name, text in shipped_packs().items() if compile_pack(text).rules]


def answered(decision: Decision) -> Answers:
    """The findings of the packs by rule, subject, region and kind; those of the engine itself are in the word."""
    return {
        (one.rule, one.subject, str(one.facts.get("claimed_region", "")), str(one.facts.get("kind", ""))): one.outcome
        for one in decision.findings
        if one.pack
    }


@pytest.mark.parametrize("name", WITH_RULES)
def test_the_engine_agrees_with_the_reference(name: str) -> None:
    dice = random.Random(20261122)
    law, packs = LAWS[name], shipped(name, *LAWS[name].beside)
    if law.enforced:
        packs = [compile_pack(shipped_packs()[name].replace("severity: warn", "severity: block"))]
    words: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    for _ in range(CASES):
        case = throw(
            dice,
            home=law.home,
            people=law.subjects,
            classes=law.classes,
            law=law.law,
            made_under=law.made_under,
            risks=law.risks,
            kinds=law.kinds,
            moments=law.moments,
        )
        decision = evaluate(packs, case.facts)
        answers, word = expected(law, case)
        assert (answered(decision), decision.word) == (answers, word)
        assert word_of(packs, case.facts) == word
        words[word] += 1
        outcomes.update(answers.values())
    assert min(words["allow"], words["deny"]) >= CASES / 5, words
    assert min(outcomes["pass"], outcomes["fail"]) >= (outcomes["pass"] + outcomes["fail"]) / 5, outcomes


def test_a_checklist_that_warns_finds_the_same_and_blocks_nothing() -> None:
    dice, law = random.Random(20261122), LAWS["deployment-readiness"]
    for _ in range(100):
        case = throw(dice, people=law.subjects, classes=law.classes, kinds=law.kinds)
        decision = evaluate(shipped("deployment-readiness"), case.facts)
        assert answered(decision) == expected(law, case)[0]
        assert not any(one.blocks for one in decision.findings if one.pack)


ROLES = ("ml_lead", "compliance_officer", "dpo")
NAMES = ("user:a", "user:b", "user:c", "user:d", "service:ci")
SUBJECT = "sha256:" + "5" * 64


def signable(event: SignOffEvent, people: People, now: datetime) -> bool:
    """An approval of exactly this, by an independent person in a role that they hold, proved at most 300 s before."""
    return (
        event.kind == "approved"
        and event.subject_digest == SUBJECT
        and event.by.startswith("user:")
        and event.by != people.requester
        and event.by not in people.contributors
        and event.role in people.roles.get(event.by, ())
        and event.at <= now < event.at + timedelta(days=14)
        and event.reauth_at is not None
        and timedelta() <= event.at - event.reauth_at <= timedelta(seconds=300)
    )


def two_people(pack: CompiledPack, events: list[SignOffEvent], people: People, tier: str, action: str) -> str:
    """The sign-off pack in plain Python: a lead and an officer, two people, and nobody who said no."""
    assert pack.id == "two-person-production"
    if tier == "staging" or action == "rollback":
        return "not_required"
    if any(
        event.kind == "rejected" and event.subject_digest == SUBJECT and event.role in ("ml_lead", "compliance_officer")
        for event in events
    ):
        return "rejected"
    good = [event for event in events if signable(event, people, NOW)]
    taken = [
        one
        for one in good
        if not any(
            other.kind == "rejected" and other.by == one.by and other.subject_digest == SUBJECT and other.at >= one.at
            for other in events
        )
    ]
    pairs = {order for pair in combinations(taken, 2) for order in permutations(pair)}
    done = any(a.role == "ml_lead" and b.role == "compliance_officer" and a.by != b.by for a, b in pairs)
    return "approved" if done else "awaiting_signoff"


def any_events(dice: random.Random) -> list[SignOffEvent]:
    calm = dice.random() < 0.8
    return [
        SignOffEvent(
            id=str(number),
            kind="rejected" if dice.random() < 0.03 else "approved",
            by=dice.choice(NAMES),
            role=dice.choice(ROLES[:2] if calm else ROLES),
            subject_digest=SUBJECT if calm or dice.random() < 0.8 else "sha256:" + "6" * 64,
            at=(at := NOW - timedelta(days=1 if calm else dice.choice([-1, 0, 1, 13, 14, 15]))),
            reauth_at=dice.choice([at - timedelta(seconds=after) for after in (0, 300, 301, -1)] + [None])
            if not calm
            else at,
        )
        for number in range(dice.randint(3, 8) if calm else dice.randint(0, 4))
    ]


def test_the_sign_off_pack_agrees_with_the_reference() -> None:
    dice = random.Random(20261122)
    packs = shipped("two-person-production")
    seen: Counter[str] = Counter()
    for _ in range(CASES):
        case = throw(dice)
        people = People(
            roles={name: frozenset(role for role in ROLES if dice.random() < 0.9) for name in NAMES},
            requester="user:yusuf" if dice.random() < 0.7 else "user:a",
            contributors=frozenset(name for name in NAMES if dice.random() < 0.1),
        )
        events = any_events(dice)
        state = signoff_state(packs, case.facts, events, people, SUBJECT)
        tier, action = case.environment.tier, case.promotion.action
        assert state.state == two_people(packs[0], events, people, tier, action)
        assert evaluate(packs, case.facts).word == (
            "deny" if any(f.classification != "none" for f in case.flows) else "error"
        )
        seen[state.state] += 1
    assert set(seen) == {"approved", "awaiting_signoff", "rejected", "not_required"}
    asked = CASES - seen["not_required"]
    assert min(seen["approved"], seen["awaiting_signoff"]) >= asked / 5, seen
