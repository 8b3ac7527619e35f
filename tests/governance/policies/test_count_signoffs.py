"""Counting signatures: who counts for which slot, and every reason why a signature does not count."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from governance.policies import (
    CompiledPack,
    Decision,
    People,
    SignOffEvent,
    SignOffState,
    compile_pack,
    conclude,
    evaluate,
    objections,
    roles_for,
    shipped_packs,
    signoff_state,
)
from tests.governance.policies.cases import DAY, NOW, facts, shipped

SUBJECT = "sha256:" + "5" * 64
LAYLA, JONAS, OMAR, YUSUF, AMIR = "user:layla", "user:jonas", "user:omar", "user:yusuf", "user:amir"
PEOPLE = People(
    roles={
        LAYLA: frozenset({"ml_lead"}),
        JONAS: frozenset({"ml_lead", "compliance_officer"}),
        OMAR: frozenset({"compliance_officer"}),
        YUSUF: frozenset({"data_scientist", "ml_lead"}),
        AMIR: frozenset({"administrator"}),
    },
    requester=YUSUF,
    contributors=frozenset({YUSUF}),
    policy_owners=frozenset({AMIR}),
)


def packs() -> list[CompiledPack]:
    return shipped("two-person-production")


def signed(by: str, role: str, **changes: Any) -> SignOffEvent:
    values: dict[str, Any] = {
        "id": f"{by}/{role}/{changes.get('kind', 'approved')}",
        "kind": "approved",
        "by": by,
        "role": role,
        "subject_digest": SUBJECT,
        "at": NOW - DAY,
        "reauth_at": NOW - DAY - timedelta(seconds=20),
    }
    return SignOffEvent(**{**values, **changes})


BOTH = (signed(LAYLA, "ml_lead"), signed(OMAR, "compliance_officer"))


def state(*events: SignOffEvent, people: People = PEOPLE, subject: str = SUBJECT, **given: Any) -> SignOffState:
    return signoff_state(packs(), facts(**given), events, people, subject)


def why(*events: SignOffEvent, people: People = PEOPLE, subject: str = SUBJECT) -> list[str]:
    return [one.why for one in state(*events, people=people, subject=subject).ignored]


def test_nobody_has_signed_and_both_roles_are_missing() -> None:
    found = state()
    assert found.state == "awaiting_signoff"
    assert [(one.role, one.n) for one in found.missing] == [("ml_lead", 1), ("compliance_officer", 1)]


def test_two_people_in_two_roles_approve_until_the_first_signature_lapses() -> None:
    found = state(BOTH[0], replace(BOTH[1], at=NOW, reauth_at=NOW))
    assert found.state == "approved"
    assert found.missing == ()
    assert found.valid_until == NOW - DAY + 14 * DAY
    assert found.as_json()["filled"][0]["by"] == LAYLA


def test_one_person_with_two_roles_fills_one_slot() -> None:
    found = state(signed(JONAS, "ml_lead"), signed(JONAS, "compliance_officer"))
    assert found.state == "awaiting_signoff"
    assert sum(one.n for one in found.missing) == 1


def test_people_are_matched_so_that_as_many_slots_as_possible_are_filled() -> None:
    events = (signed(JONAS, "ml_lead"), signed(JONAS, "compliance_officer"), signed(LAYLA, "ml_lead"))
    found = state(*events)
    assert found.state == "approved"
    assert {one.role: one.by for one in found.filled} == {"ml_lead": LAYLA, "compliance_officer": JONAS}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (signed(YUSUF, "ml_lead"), "not_independent"),
        (signed(LAYLA, "ml_lead", subject_digest="sha256:" + "6" * 64), "stale"),
        (signed(LAYLA, "dpo"), "role_not_asked"),
        (signed(LAYLA, "compliance_officer"), "role_lost"),
        (signed("user:gone", "ml_lead"), "role_lost"),
        (signed("service:ci", "ml_lead"), "not_a_person"),
        (signed(LAYLA, "ml_lead", at=NOW + timedelta(seconds=2), reauth_at=NOW), "in_the_future"),
        (signed(LAYLA, "ml_lead", reauth_at=None), "reauthentication"),
        (signed(LAYLA, "ml_lead", reauth_at=NOW - DAY - timedelta(seconds=301)), "reauthentication"),
        (signed(LAYLA, "ml_lead", reauth_at=NOW), "reauthentication"),
        (signed(LAYLA, "ml_lead", at=NOW - 14 * DAY, reauth_at=NOW - 14 * DAY), "expired"),
    ],
)
def test_a_signature_that_does_not_count_is_ignored_with_its_reason(event: SignOffEvent, reason: str) -> None:
    assert why(event) == [reason]
    assert state(event, BOTH[1]).state == "awaiting_signoff"


def test_a_signature_of_this_very_second_counts() -> None:
    now_signed = [replace(one, at=NOW + timedelta(microseconds=700_000), reauth_at=NOW) for one in BOTH]
    assert state(*now_signed).state == "approved"


def test_whoever_the_facts_name_as_a_trainer_does_not_count() -> None:
    assert state(*BOTH, trained_by=["user:yusuf", LAYLA]).state == "awaiting_signoff"


def test_a_later_found_contribution_takes_the_signature_away() -> None:
    assert state(*BOTH, people=replace(PEOPLE, contributors=frozenset({OMAR}))).state == "awaiting_signoff"


def test_losing_the_role_takes_the_signature_away() -> None:
    assert state(*BOTH, people=replace(PEOPLE, roles={**PEOPLE.roles, LAYLA: frozenset()})).state == "awaiting_signoff"


def test_a_changed_subject_voids_all_signatures() -> None:
    found = state(*BOTH, subject="sha256:" + "7" * 64)
    assert found.state == "awaiting_signoff"
    assert [one.why for one in found.ignored] == ["stale", "stale"]


def test_one_rejection_is_a_veto_even_after_two_approvals() -> None:
    found = state(*BOTH, signed(JONAS, "ml_lead", kind="rejected"))
    assert found.state == "rejected"
    assert found.vetoes == ("user:jonas/ml_lead/rejected",)


def test_taking_the_role_from_whoever_rejected_does_not_lift_the_veto() -> None:
    people = replace(PEOPLE, roles={**PEOPLE.roles, JONAS: frozenset()})
    assert state(*BOTH, signed(JONAS, "ml_lead", kind="rejected"), people=people).state == "rejected"


def test_a_rejection_in_a_role_that_is_not_asked_or_of_another_subject_is_no_veto() -> None:
    assert state(*BOTH, signed(AMIR, "administrator", kind="rejected")).state == "approved"
    stale = signed(JONAS, "ml_lead", kind="rejected", subject_digest="sha256:" + "8" * 64)
    assert state(*BOTH, stale).state == "approved"


@pytest.mark.parametrize(("by", "lifted"), [(JONAS, True), (AMIR, True), (YUSUF, False), (LAYLA, False)])
def test_only_the_rejector_or_an_independent_policy_owner_reopens(by: str, lifted: bool) -> None:
    veto = signed(JONAS, "ml_lead", kind="rejected")
    reopened = SignOffEvent("r", "reopened", by, "", SUBJECT, NOW, undoes=veto.id)
    assert state(*BOTH, veto, reopened).state == ("approved" if lifted else "rejected")


def test_a_policy_owner_who_requested_it_cannot_reopen_it() -> None:
    veto = signed(JONAS, "ml_lead", kind="rejected")
    reopened = SignOffEvent("r", "reopened", YUSUF, "", SUBJECT, NOW, undoes=veto.id)
    people = replace(PEOPLE, policy_owners=frozenset({YUSUF}))
    assert state(*BOTH, veto, reopened, people=people).state == "rejected"


def test_a_reopening_before_the_rejection_lifts_nothing() -> None:
    veto = signed(JONAS, "ml_lead", kind="rejected")
    reopened = SignOffEvent("r", "reopened", JONAS, "", SUBJECT, veto.at - DAY, undoes=veto.id)
    assert state(*BOTH, veto, reopened).state == "rejected"


def test_an_approval_before_ones_own_rejection_does_not_come_back() -> None:
    veto = signed(LAYLA, "ml_lead", kind="rejected", at=NOW - timedelta(hours=2))
    reopened = SignOffEvent("r", "reopened", LAYLA, "", SUBJECT, NOW, undoes=veto.id)
    found = state(*BOTH, veto, reopened)
    assert found.state == "awaiting_signoff"
    assert [one.why for one in found.ignored] == ["rejected_later"]


@pytest.mark.parametrize(("by", "counts"), [(LAYLA, False), (AMIR, False), (OMAR, True)])
def test_an_approval_is_revoked_by_its_author_or_a_policy_owner_only(by: str, counts: bool) -> None:
    revoked = SignOffEvent("x", "revoked", by, "", SUBJECT, NOW, undoes=BOTH[0].id)
    assert (state(*BOTH, revoked).state == "approved") is counts


def test_staging_needs_nobody_and_says_so() -> None:
    assert state(tier="staging").state == "not_required"
    assert state(action="rollback").state == "not_required"
    assert state(tier="dr").state == "awaiting_signoff"


def test_no_sign_off_rule_at_all_is_an_error_and_not_a_yes() -> None:
    found = signoff_state(shipped("ksa-pdpl"), facts(), BOTH, PEOPLE, SUBJECT)
    assert found.state == "error"
    assert found.problems == ("No active policy pack says who must sign",)


def test_a_rule_that_cannot_be_evaluated_is_an_error() -> None:
    text = shipped_packs()["two-person-production"].replace(
        "environment.tier in ['prod', 'dr']", "version.trained_by[9] == ''"
    )
    assert signoff_state([compile_pack(text)], facts(), BOTH, PEOPLE, SUBJECT).state == "error"


def test_a_slot_with_a_condition_is_asked_only_when_it_holds() -> None:
    lead = "      - {role: ml_lead, n: 1}"
    more = '      - {role: dpo, n: 1, when: "data.sensitive"}'
    text = shipped_packs()["two-person-production"].replace(lead, f"{lead}\n{more}")
    assert signoff_state([compile_pack(text)], facts(), BOTH, PEOPLE, SUBJECT).state == "approved"
    anyone = text.replace("min_people: 2", "min_people: 3")
    found = signoff_state([compile_pack(anyone)], facts(), BOTH, PEOPLE, SUBJECT)
    assert [(one.role, one.n) for one in found.missing] == [("any", 1)]


def codes(by: str, role: str = "", events: tuple[SignOffEvent, ...] = (), **more: Any) -> list[str]:
    return [one.code for one in objections(packs(), facts(), events, PEOPLE, SUBJECT, by=by, role=role, **more)]


def test_whoever_may_sign_meets_no_objection() -> None:
    assert codes(LAYLA) == []
    assert codes(JONAS, "compliance_officer") == []
    assert roles_for(packs(), facts(), PEOPLE, by=JONAS) == ("compliance_officer", "ml_lead")


def test_objections_say_why_not() -> None:
    assert codes(YUSUF) == ["signoff.requester", "signoff.contributor"]
    assert codes(YUSUF, meaning="reject") == ["signoff.requester", "signoff.contributor"]
    assert codes(AMIR) == ["signoff.role"]
    assert codes(LAYLA, "compliance_officer") == ["signoff.role"]
    assert codes("service:ci") == ["signoff.not_a_person", "signoff.role"]
    assert codes(LAYLA, events=BOTH) == ["signoff.already_signed"]
    assert codes(LAYLA, events=BOTH, meaning="reject") == []
    assert codes(LAYLA, events=(signed(JONAS, "ml_lead", kind="rejected"),)) == ["signoff.rejected"]


def allowed() -> Decision:
    return evaluate(shipped("ksa-pdpl", "two-person-production"), facts())


def test_rules_and_signatures_allow_only_together() -> None:
    assert conclude(allowed(), state(*BOTH)).word == "allow"
    assert conclude(allowed(), state(*BOTH)).valid_until == "2026-12-05T09:00:00Z"
    pending = conclude(allowed(), state(BOTH[0]))
    assert (pending.word, pending.summary) == ("pending", "Waiting for sign-offs: 1 × compliance_officer")
    assert conclude(allowed(), state(*BOTH, signed(JONAS, "ml_lead", kind="rejected"))).word == "deny"
    assert conclude(allowed(), SignOffState("error", problems=("x",))).word == "error"


@pytest.mark.parametrize("word", ["deny", "error", "pending"])
def test_signatures_never_mend_a_denial(word: Any) -> None:
    assert conclude(replace(allowed(), word=word), state(*BOTH)).word == word
