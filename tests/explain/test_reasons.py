"""Reason codes: only what pushed toward the adverse side, ties as ties, nothing protected in a text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from explain.methods.quality import RowResult
from explain.methods.reasons import Baseline, Reasons, Rules, reason_codes
from explain.methods.refused import CannotSay

CELLS = {"income": 20.0, "debts": 7, "sector": "trade", "age": 61, "late": 3, "tenure": 1, "city": "A", "street": "B"}
PHI = [-0.02, 0.20, 0.10, 0.30, 0.05, 0.04, 0.01, 0.02]
BASELINE = Baseline("approved applicants", "2026-10", "sha256:ab", {"income": 50.0, "debts": 2.0, "late": 0.5})
RULES = Rules(
    adverse="higher",
    scale="probability",
    baseline=BASELINE,
    threshold=0.5,
    templates={
        "income": {"below": "Income is low", "above": "Income is high"},
        "debts": {"above": "Too many open debts: {value}", "below": "Too few debts"},
        "sector": {"other": "Sector of employment"},
        "age": {"other": "Age"},
        "late": {"above": "Late payments"},
        "tenure": {"other": "Time with the employer"},
        "home": {"other": "Length and place of residence"},
    },
)


def row(phi: list[float] | None = None, se: float = 0.001, **changes: Any) -> RowResult:
    values = phi or PHI
    given: dict[str, Any] = {
        "phi": tuple(values),
        "se": (se,) * len(values),
        "base": 0.1,
        "fx": 0.1 + sum(values),
        "residual": 0.0,
        "converged": True,
        **changes,
    }
    return RowResult("r1", **given)


def codes(
    result: RowResult | None = None, *, method: str = "shap", scale: str = "probability", **rules: Any
) -> Reasons:
    return reason_codes(result or row(), method=method, scale=scale, cells=CELLS, rules=replace(RULES, **rules))


def test_four_reasons_at_most_in_order_each_with_its_text_and_the_baseline_by_name() -> None:
    found = codes()
    assert [(each.feature, each.rank) for each in found.reasons] == [
        ("age", 1),
        ("debts", 2),
        ("sector", 3),
        ("late", 4),
    ]
    assert [each.text for each in found.reasons][1] == "Too many open debts: 7"
    assert sum(each.share for each in found.reasons) == pytest.approx((0.3 + 0.2 + 0.1 + 0.05) / 0.72)
    assert (found.baseline.name, found.baseline.version) == ("approved applicants", "2026-10")
    assert not found.held


def test_what_helped_the_person_is_no_reason_and_the_adverse_side_can_be_the_lower_one() -> None:
    assert "income" not in {each.feature for each in codes(most=8).reasons}
    found = codes(row(fx=0.4), adverse="lower", threshold=0.5)
    assert [(each.feature, each.direction, each.text) for each in found.reasons] == [
        ("income", "below", "Income is low")
    ]


def test_a_protected_attribute_is_never_in_a_text_and_holds_the_row_when_it_ranks() -> None:
    found = codes(protected=frozenset({"age"}))
    assert "age" not in {each.feature for each in found.reasons}
    assert not any("Age" in each.text for each in found.reasons)
    (flag,) = found.flags
    assert (flag.feature, flag.rank, flag.principal) == ("age", 1, True)
    assert found.held
    assert [each.rank for each in found.reasons] == [2, 3, 4, 5]


def test_a_protected_attribute_far_down_is_named_and_holds_nothing() -> None:
    found = codes(protected=frozenset({"street"}))
    assert [(flag.feature, flag.principal) for flag in found.flags] == [("street", False)]
    assert not found.held
    unsure = codes(row(se=0.03), protected=frozenset({"street"}))
    assert [(flag.feature, flag.rank, flag.principal) for flag in unsure.flags] == [("street", 0, False)]


def test_a_group_with_a_protected_column_is_protected() -> None:
    found = codes(groups={"person": ["age", "tenure"]}, protected=frozenset({"age"}))
    assert [flag.feature for flag in found.flags] == ["person"]
    assert "person" not in {each.feature for each in found.reasons}


def test_columns_of_a_group_are_one_reason() -> None:
    found = codes(groups={"home": ["late", "city", "street"]}, most=3)
    assert [each.feature for each in found.reasons] == ["age", "debts", "sector"]
    found = codes(groups={"home": ["late", "city", "street", "tenure"]}, most=4)
    assert found.reasons[2].feature == "home"
    assert found.reasons[2].phi == pytest.approx(0.12)
    assert found.reasons[2].text == "Length and place of residence"


def test_ties_share_a_rank_and_those_that_found_no_place_are_named() -> None:
    found = codes(row(se=0.006))
    ranks = {each.feature: (each.rank, each.tied) for each in found.reasons}
    assert ranks["age"] == (1, False)
    assert ranks["late"] == (4, True)
    assert found.tied_out == ("tenure",)
    clear = codes(row([0.0, 0.2, 0.1, 0.3, 0.05, 0.0, 0.0, 0.0], se=0.006))
    assert not clear.reasons[3].tied
    assert clear.tied_out == ()


def test_a_contribution_that_may_be_zero_is_no_reason() -> None:
    found = codes(row(se=0.03), most=8)
    assert {"street", "city", "tenure", "late"} == set(found.unsure)
    assert [each.feature for each in found.reasons] == ["age", "debts", "sector"]


def test_without_a_text_or_without_any_reason_a_person_looks_first() -> None:
    found = codes(templates={})
    assert found.held
    assert {each.text for each in found.reasons} == {""}
    nothing = codes(row(se=5.0))
    assert nothing.reasons == ()
    assert nothing.held


def test_a_template_cannot_read_anything_but_the_value() -> None:
    found = codes(templates={"debts": {"above": "{value.__class__} {0} {value}"}})
    assert next(each.text for each in found.reasons if each.feature == "debts") == "{value.__class__} {0} 7"


@pytest.mark.parametrize(
    ("result", "asked", "code"),
    [
        (row(), {"method": "lime"}, "reasons.lime"),
        (row(converged=False), {}, "reasons.not_converged"),
        (row(problem="poison"), {}, "reasons.row_failed"),
        (row(residual=0.01), {}, "reasons.not_additive"),
        (row([float("nan"), *PHI[1:]]), {}, "reasons.not_finite"),
        (row(), {"scale": "log-odds"}, "reasons.scale"),
        (row(fx=0.3), {}, "reasons.not_adverse"),
        (row(), {"adverse": "lower"}, "reasons.not_adverse"),
        (row(), {"groups": {"home": ["moon"]}}, "group.column_unknown"),
    ],
)
def test_what_gives_no_reasons(result: RowResult, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(CannotSay) as caught:
        codes(result, **asked)
    assert caught.value.code == code
