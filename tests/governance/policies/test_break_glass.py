"""How a pack says break_glass: every part, within bounds, and never above residency."""

from __future__ import annotations

from datetime import timedelta

import pytest

from governance.policies import PackError, compile_pack, shipped_packs

TEXT = shipped_packs()["two-person-production"]


def test_the_shipped_rule_says_who_how_long_and_who_looks_at_it() -> None:
    glass = compile_pack(TEXT).signoffs[0].rule.break_glass
    assert glass is not None
    assert glass.roles == ("ml_lead", "operator")
    assert glass.review_by == ("compliance_officer", "dpo")
    assert (glass.max_duration, glass.review_within) == (timedelta(hours=24), timedelta(days=2))
    assert glass.cannot_override == ("residency",)


def test_a_rule_without_it_cannot_be_broken() -> None:
    text = shipped_packs()["independence-of-validation"]
    assert all(one.rule.break_glass is None for one in compile_pack(text).signoffs)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("people: 2", "people: 1", "A whole number from 2 to 2"),
        ("people: 2", "people: 3", "A whole number from 2 to 2"),
        ("      people: 2\n", "", "'people' is missing"),
        ("max_duration: PT24H", "max_duration: P4D", "At most 72 hours"),
        ("max_duration: PT24H", "max_duration: forever", "A duration such as"),
        ("review_within: P2D", "review_within: P8D", "At most 168 hours"),
        ("      review_within: P2D\n", "", "'review_within' is missing"),
        ("roles: [ml_lead, operator]", "roles: []", "The list roles is empty"),
        ("roles: [ml_lead, operator]", "roles: [root]", "'root' is not known here"),
        ("review_by: [compliance_officer, dpo]", "review_by: []", "The list review_by is empty"),
        ("cannot_override: [residency]", "cannot_override: []", "must name residency"),
        ("cannot_override: [residency]", "cannot_override: [AE-RES-001]", "must name residency"),
        ("cannot_override: [residency]", "cannot_override: [residency, 'a b']", "no id of a rule"),
        ("      people: 2\n", "      people: 2\n      auto_ratify: true\n", "'auto_ratify' is not known here"),
    ],
)
def test_what_is_wrong_is_refused_at_upload(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(PackError) as refusal:
        compile_pack(TEXT.replace(old, new))
    assert any(said in problem.message and problem.rule == "PROD-TWO-PEOPLE" for problem in refusal.value.problems), [
        problem.message for problem in refusal.value.problems
    ]
