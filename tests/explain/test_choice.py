"""Which estimator is chosen, and which wishes are refused."""

from __future__ import annotations

from typing import Any

import pytest

from explain.methods.choice import Choice, Impossible, choose


def chosen(**changes: Any) -> Choice:
    given: dict[str, Any] = {
        "method": "shap",
        "features": 14,
        "background": 100,
        "scale": "log_odds",
        "artifact": None,
        "parity": None,
        "budget_per_row": 50_000,
        **changes,
    }
    return choose(**given)


def refused(**changes: Any) -> Impossible:
    with pytest.raises(Impossible) as found:
        chosen(**changes)
    return found.value


@pytest.mark.parametrize(
    ("changes", "algorithm", "because"),
    [
        ({}, "pair_perm", "black_box"),
        ({"artifact": "tree", "parity": 1e-7}, "tree", "artifact.agrees"),
        ({"artifact": "linear", "parity": 0.0}, "linear", "artifact.agrees"),
        ({"artifact": "tree", "parity": 1e-5}, "pair_perm", "black_box"),
        ({"artifact": "tree", "parity": float("nan")}, "pair_perm", "black_box"),
        ({"artifact": "tree", "parity": None}, "pair_perm", "black_box"),
        ({"artifact": "tree", "parity": 0.0, "scale": "probability"}, "pair_perm", "black_box"),
        (
            {"artifact": "tree", "parity": 0.0, "scale": "probability", "artifact_scale": "probability"},
            "tree",
            "artifact.agrees",
        ),
        ({"artifact": "tree", "parity": 0.0, "artifact_scale": "probability"}, "pair_perm", "black_box"),
        ({"features": 6}, "exact", "few_features"),
        ({"features": 7}, "exact", "few_features"),
        ({"features": 8}, "pair_perm", "black_box"),
        ({"features": 8, "rounds": 32}, "exact", "few_features"),
        ({"features": 6, "budget_per_row": 6_399}, "pair_perm", "black_box"),
        ({"features": 1}, "pair_perm", "black_box"),
        ({"method": "lime"}, "lime", "asked"),
        ({"wanted": "exact", "features": 12, "budget_per_row": 500_000}, "exact", "asked"),
        ({"wanted": "permutation"}, "permutation", "asked"),
        ({"wanted": "kernel"}, "kernel", "asked"),
        ({"wanted": "tree", "artifact": "tree", "parity": 0.0}, "tree", "asked"),
    ],
)
def test_the_choice_and_its_reason(changes: dict[str, Any], algorithm: str, because: str) -> None:
    made = chosen(**changes)
    assert (made.algorithm, made.because) == (algorithm, because)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"wanted": "tree"}, "artifact.missing"),
        ({"wanted": "tree", "artifact": "linear", "parity": 0.0}, "artifact.kind"),
        ({"wanted": "tree", "artifact": "tree", "parity": 0.0, "scale": "probability"}, "artifact.scale"),
        ({"wanted": "tree", "artifact": "tree", "parity": None}, "artifact.parity_unknown"),
        ({"wanted": "linear", "artifact": "linear", "parity": 2e-6}, "artifact.parity"),
        ({"wanted": "linear", "artifact": "linear", "parity": float("nan")}, "artifact.parity"),
        ({"wanted": "exact", "features": 17, "budget_per_row": 10**9}, "exact.too_many_features"),
        ({"wanted": "exact", "features": 12}, "budget.too_small"),
        ({"wanted": "permutation", "budget_per_row": 5_000}, "budget.too_small"),
        ({"wanted": "lime"}, "method.other"),
        ({"method": "lime", "wanted": "pair_perm"}, "method.other"),
        ({"method": "lime", "budget_per_row": 24_999}, "budget.too_small"),
        ({"budget_per_row": 5_199}, "budget.too_small"),
    ],
)
def test_an_impossible_wish_is_refused_with_a_code(changes: dict[str, Any], code: str) -> None:
    assert refused(**changes).code == code


def test_kernel_and_permutation_never_come_by_themselves() -> None:
    for features in range(1, 40):
        for background in (1, 2, 100):
            made = chosen(features=features, background=background, budget_per_row=10**7)
            assert made.algorithm in ("exact", "pair_perm")
