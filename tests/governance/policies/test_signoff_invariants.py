"""What must hold for every history of signatures, tried on random ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta

from hypothesis import find, given, settings
from hypothesis import strategies as st

from governance.policies import CompiledPack, People, SignOffEvent, SignOffState, compile_pack, signoff_state
from governance.policies.staffing import match
from tests.governance.policies.cases import NOW, facts

ROLES = ("ml_lead", "compliance_officer", "dpo")
PERSONS = tuple(f"user:{letter}" for letter in "abcdef")
SUBJECT, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
VALID = timedelta(days=14)
REAUTH = timedelta(seconds=300)
TEXT = """
pack: three
version: 1
title: Three
status: draft
effective_from: 2026-01-01
signoff:
  - id: THREE
    title: Three people
    applies_when: "true"
    require: [{role: ml_lead, n: 1}, {role: compliance_officer, n: 1}, {role: dpo, n: 1, when: "model.risk == 'high'"}]
    distinct_people: true
    exclude: [requester, contributors]
    reauth: {max_age_s: 300}
    valid_for: P14D
"""


def packs() -> list[CompiledPack]:
    return [compile_pack(TEXT)]


times = st.integers(-20 * 24, 1).map(lambda hours: NOW + timedelta(hours=hours))
ids = st.integers(0, 11).map(lambda number: f"e{number}")


@st.composite
def events(
    draw: st.DrawFn, kinds: Sequence[str] = ("approved", "approved", "approved", "rejected", "revoked", "reopened")
) -> SignOffEvent:
    at = draw(times)
    return SignOffEvent(
        id=draw(ids),
        kind=draw(st.sampled_from(kinds)),  # type: ignore[arg-type]
        by=draw(st.sampled_from(PERSONS)),
        role=draw(st.sampled_from(ROLES)),
        subject_digest=draw(st.sampled_from((SUBJECT, SUBJECT, SUBJECT, OTHER))),
        at=at,
        reauth_at=draw(st.sampled_from((at, at - REAUTH, at - 2 * REAUTH, None, at - REAUTH))),
        undoes=draw(ids),
    )


histories = st.lists(events(), max_size=12, unique_by=lambda event: event.id)
people = st.builds(
    People,
    roles=st.fixed_dictionaries({person: st.frozensets(st.sampled_from(ROLES)) for person in PERSONS}),
    requester=st.sampled_from(PERSONS),
    contributors=st.frozensets(st.sampled_from(PERSONS), max_size=2),
    policy_owners=st.frozensets(st.sampled_from(PERSONS), max_size=1),
)


@st.composite
def signed_by_three(draw: st.DrawFn) -> tuple[list[SignOffEvent], People]:
    """A history that is likely to be approved: three independent people have signed, and then things happened."""
    who = draw(people)
    free = [person for person in PERSONS if person != who.requester and person not in who.contributors]
    signers = draw(st.permutations(free))[:3]
    chosen = list(zip(signers, ROLES, strict=True))
    roles = {**who.roles, **{person: who.roles[person] | {role} for person, role in chosen}}
    first = [
        SignOffEvent(
            f"s{number}", "approved", person, role, SUBJECT, NOW - timedelta(days=number), NOW - timedelta(days=number)
        )
        for number, (person, role) in enumerate(chosen)
    ]
    later = draw(st.lists(events(), max_size=3, unique_by=lambda event: event.id))
    return [*first, *later], People(roles, who.requester, who.contributors, who.policy_owners)


cases = st.one_of(st.tuples(histories, people), signed_by_three())


def count(
    history: Sequence[SignOffEvent], who: People, *, subject: str = SUBJECT, days: int = 0, risk: str = "high"
) -> SignOffState:
    return signoff_state(
        packs(), facts(trained_by=[], now=NOW + timedelta(days=days), risk=risk), history, who, subject
    )


@settings(max_examples=300, deadline=None)
@given(cases)
def test_approved_means_as_many_independent_people_as_slots(case: tuple[list[SignOffEvent], People]) -> None:
    history, who = case
    found = count(history, who)
    by_id = {event.id: event for event in history}
    assert len({slot.by for slot in found.filled}) == len(found.filled)
    for slot in found.filled:
        event = by_id[slot.event]
        assert event.kind == "approved"
        assert event.subject_digest == SUBJECT
        assert slot.by != who.requester
        assert slot.by not in who.contributors
        assert slot.role in who.roles[slot.by]
        assert event.at <= NOW < event.at + VALID
        assert event.reauth_at is not None
        assert timedelta() <= event.at - event.reauth_at <= REAUTH
    if found.state == "approved":
        assert sorted(slot.role for slot in found.filled) == sorted(ROLES)


@settings(max_examples=150, deadline=None)
@given(cases)
def test_everything_lapses(case: tuple[list[SignOffEvent], People]) -> None:
    history, who = case
    found = count(history, who)
    assert count(history, who, days=400).state != "approved"
    if found.state == "approved":
        assert found.valid_until is not None
        assert NOW < found.valid_until <= NOW + VALID


@settings(max_examples=150, deadline=None)
@given(cases)
def test_the_same_events_never_approve_another_subject(case: tuple[list[SignOffEvent], People]) -> None:
    history, who = case
    assert count(history, who, subject="sha256:" + "3" * 64).state == "awaiting_signoff"


@settings(max_examples=150, deadline=None)
@given(cases, st.data())
def test_taking_an_approval_or_a_role_away_never_approves(
    case: tuple[list[SignOffEvent], People], data: st.DataObject
) -> None:
    history, who = case
    if count(history, who).state == "approved" or not history:
        return
    gone = data.draw(st.sampled_from(history))
    if gone.kind == "approved":
        assert count([event for event in history if event is not gone], who).state != "approved"
    poorer = {**who.roles, gone.by: who.roles[gone.by] - {gone.role}}
    assert count(history, People(poorer, who.requester, who.contributors, who.policy_owners)).state != "approved"


@settings(max_examples=150, deadline=None)
@given(cases, events(kinds=("rejected", "revoked", "reopened")))
def test_what_is_no_approval_never_turns_waiting_into_approved(
    case: tuple[list[SignOffEvent], People], extra: SignOffEvent
) -> None:
    history, who = case
    if count(history, who).state == "awaiting_signoff":
        added = SignOffEvent("extra", extra.kind, extra.by, extra.role, SUBJECT, extra.at, None, extra.undoes)
        assert count([*history, added], who).state != "approved"


@settings(max_examples=100, deadline=None)
@given(cases)
def test_the_order_in_which_events_are_read_does_not_matter(case: tuple[list[SignOffEvent], People]) -> None:
    history, who = case
    shuffled = sorted(history, key=lambda event: event.id, reverse=True)
    assert count(history, who) == count(shuffled, who)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.frozensets(st.sampled_from(ROLES), min_size=1), max_size=4),
    st.dictionaries(st.sampled_from(PERSONS), st.frozensets(st.sampled_from(ROLES)), max_size=5),
)
def test_the_matching_is_as_large_as_trying_everything(
    slots: list[frozenset[str]], held: dict[str, frozenset[str]]
) -> None:
    best = max(
        sum(1 for slot, person in zip(slots, order, strict=False) if person and slot & held[person])
        for order in itertools.permutations([*held, *[""] * len(slots)], len(slots))
    )
    found = match(slots, held)
    assert len(found) == best
    assert len(set(found.values())) == len(found)
    assert all(slots[position] & held[person] for position, person in found.items())


def test_random_histories_do_reach_approval() -> None:
    """Otherwise the properties above would hold of nothing."""
    history, who = find(signed_by_three(), lambda case: count(*case).state == "approved")
    assert count(history, who).missing == ()
