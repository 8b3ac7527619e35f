"""Fairness by group against rates that are counted by hand, and everything that is too few to say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from explain.methods import fairness
from explain.methods.fairness import FPR, SELECTION, TPR, Fairness, measure
from explain.methods.refused import CannotSay


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """fairlearn needs 30 ms for each; only one test is about their intervals."""
    monkeypatch.setattr(fairness, "RESAMPLES", 10)


def people(*groups: tuple[str, int, int, int, int]) -> dict[str, Any]:
    """Groups of (name, selected with label 1, selected with 0, refused with 1, refused with 0)."""
    names, scores, labels = [], [], []
    for name, tp, fp, fn, tn in groups:
        names += [name] * (tp + fp + fn + tn)
        scores += [0.9] * (tp + fp) + [0.1] * (fn + tn)
        labels += [1] * tp + [0] * fp + [1] * fn + [0] * tn
    return {"groups": names, "scores": scores, "labels": labels}


def found(*groups: tuple[str, int, int, int, int], **changes: Any) -> Fairness:
    return measure(**{"threshold": 0.5, **people(*groups), **changes})


def rate(result: Fairness, group: str, metric: str) -> Any:
    return next(each for each in result.groups if each.name == group).rates[metric]


def test_rates_and_differences_are_those_that_are_counted_by_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fairness, "RESAMPLES", 200)
    result = found(("a", 30, 10, 10, 50), ("b", 12, 8, 28, 52))
    assert rate(result, "a", SELECTION).value == pytest.approx(0.40)
    assert rate(result, "b", SELECTION).value == pytest.approx(0.20)
    assert rate(result, "a", TPR).value == pytest.approx(30 / 40)
    assert rate(result, "b", FPR).value == pytest.approx(8 / 60)
    assert rate(result, "a", "accuracy").value == pytest.approx(0.80)
    assert result.parity.value == pytest.approx(0.20)
    assert result.parity_ratio == pytest.approx(0.5)
    assert result.odds is not None
    assert result.odds.value == pytest.approx(30 / 40 - 12 / 40)
    assert (result.parity.metric, result.odds.metric) == (SELECTION, TPR)
    assert result.odds.low < result.odds.value < result.odds.high
    assert result.overall[SELECTION].value == pytest.approx(0.30)
    first = rate(result, "a", SELECTION)
    assert 0.25 < first.low < 0.40 < first.high < 0.55
    assert result.parity.chance < 0.02


def test_fairlearn_itself_finds_the_same_differences() -> None:
    from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

    given = people(("a", 31, 11, 17, 40), ("b", 12, 9, 28, 52), ("c", 20, 5, 15, 30))
    result = measure(threshold=0.5, **given)
    chosen = [int(score >= 0.5) for score in given["scores"]]
    asked = {"y_true": given["labels"], "y_pred": chosen, "sensitive_features": given["groups"]}
    assert result.parity.value == pytest.approx(demographic_parity_difference(**asked))
    assert result.odds is not None
    assert result.odds.value == pytest.approx(equalized_odds_difference(**asked))


def test_a_group_of_29_is_counted_and_nothing_else() -> None:
    result = found(("a", 30, 10, 10, 50), ("b", 20, 10, 10, 60), ("tiny", 29, 0, 0, 0))
    tiny = next(each for each in result.groups if each.name == "tiny")
    assert (tiny.n, tiny.suppressed, dict(tiny.rates)) == (29, True, {})
    assert result.n == 200
    assert result.parity.value == pytest.approx(0.10)


def test_a_rate_over_few_is_not_given_and_equalised_odds_then_neither() -> None:
    result = found(("a", 30, 10, 10, 50), ("b", 5, 20, 4, 60))
    assert rate(result, "b", TPR).value is None
    assert rate(result, "b", TPR).n == 9
    assert rate(result, "b", FPR).value == pytest.approx(0.25)
    assert result.odds is None


def test_fairlearn_answers_zero_for_a_rate_over_nobody_and_we_do_not() -> None:
    from fairlearn.metrics import true_positive_rate

    assert true_positive_rate([0] * 40, [1] * 40) == 0.0
    result = found(("a", 0, 10, 0, 30), ("b", 20, 0, 10, 10))
    assert (rate(result, "a", TPR).n, rate(result, "a", TPR).value) == (0, None)


def test_a_group_that_is_always_refused_has_a_selection_rate_of_zero() -> None:
    result = found(("a", 0, 0, 0, 40), ("b", 20, 0, 0, 20), labels=None)
    assert rate(result, "a", SELECTION).value == 0.0
    assert result.odds is None
    assert set(result.overall) == {SELECTION}
    nobody = found(("a", 0, 0, 0, 40), ("b", 0, 0, 0, 40), labels=None)
    assert nobody.parity.value == 0.0
    assert nobody.parity_ratio is None
    assert nobody.parity.chance == 1.0


def test_groups_that_are_alike_differ_by_chance_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    shares = []
    monkeypatch.setattr(fairness, "RESAMPLES", 2)
    for seed in range(40):
        result = measure(
            rng.choice(["a", "b"], 120).tolist(), rng.random(120).tolist(), threshold=0.5, labels=None, seed=seed
        )
        assert result.parity.low >= 0
        shares.append(result.parity.chance)
    assert 0.3 < np.mean(shares) < 0.75
    assert np.mean(np.array(shares) <= 0.05) <= 0.15


def test_the_favourable_side_may_be_the_lower_one() -> None:
    result = found(("a", 30, 10, 10, 50), ("b", 12, 8, 28, 52), favourable="lower")
    assert rate(result, "a", SELECTION).value == pytest.approx(0.60)


def test_the_same_seed_gives_the_same_numbers() -> None:
    groups = ("a", 30, 10, 10, 50), ("b", 12, 8, 28, 52)
    assert found(*groups, seed=5) == found(*groups, seed=5)
    assert found(*groups, seed=5) != found(*groups, seed=6)


def test_mean_contributions_by_group() -> None:
    rng = np.random.default_rng(6)
    phi = rng.normal(0, 0.1, size=(80, 2))
    phi[:40, 1] += 1
    result = found(("a", 10, 10, 10, 10), ("b", 10, 10, 10, 10), phi=phi, features=["x", "y"])
    means = {(each.group, each.feature): each for each in result.contributions}
    assert means["a", "y"].low < phi[:40, 1].mean() < means["a", "y"].high
    assert means["a", "y"].low > 0.9
    assert means["b", "y"].high < 0.1
    assert means["a", "y"].mean == pytest.approx(phi[:40, 1].mean())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"groups": ["a"] * 80}, "fairness.too_few"),
        ({"groups": ["a"] * 55 + ["b"] * 25}, "fairness.too_few"),
        ({"groups": [str(i % 21) for i in range(80)]}, "fairness.groups"),
        ({"scores": [float("nan")] * 80}, "fairness.score"),
        ({"labels": [2] * 80}, "fairness.label"),
    ],
)
def test_what_cannot_be_measured(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(CannotSay) as caught:
        found(("a", 10, 10, 10, 10), ("b", 10, 10, 10, 10), **changes)
    assert caught.value.code == code


def test_importing_the_module_imports_no_scikit_learn() -> None:
    import subprocess
    import sys

    code = f"import sys; import {fairness.__name__}; sys.exit(bool({{'sklearn', 'fairlearn'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
