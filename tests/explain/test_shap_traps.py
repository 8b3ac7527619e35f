"""The ways in which shap 0.51 is silently wrong, each shown on the naive call first, then right on ours (design, 2.3).

The naive half documents the trap: when it fails, shap was mended and the work-around can be looked at again.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from explain.methods import analytic, replay
from explain.methods.codes import Codebook, Column, Floats
from explain.methods.replay import Algorithm, Replay
from tests.explain.test_pairperm_oracles import brute_force, explain

Model = Callable[[Floats], Floats]


@pytest.fixture(scope="module")
def shap() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

    return shap


def ours(
    model: Model, x: Floats, background: Floats, algorithm: Algorithm, *, row_id: str = "r", evals: int | None = None
) -> replay.Values:
    """The same explainer on codes, by record and replay."""
    cells = [x.tolist(), *background.tolist()]
    book = Codebook([Column(str(j), "number") for j in range(len(x))], cells)
    codes = book.encode(cells)
    made = Replay(codes[1:], algorithm=algorithm, seed=3, evals=evals)
    recorded = made.record(codes[0], row_id)
    return made.replay(codes[0], row_id, recorded, model(np.column_stack(book.decode(recorded)).astype(float)))


def quietly(call: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


@pytest.fixture(scope="module")
def wide() -> tuple[Model, Floats, Floats, Floats]:
    """Thirty features that all matter, linear so that the truth is known."""
    rng = np.random.default_rng(8)
    weights, x, background = rng.normal(size=30), rng.normal(size=30), rng.normal(size=(20, 30))
    return lambda rows: rows @ weights, x, background, weights * (x - background.mean(axis=0))


def test_trap_1_kernel_keeps_ten_features_by_default(shap: Any, wide: Any) -> None:
    model, x, background, truth = wide
    np.random.seed(0)
    naive = quietly(lambda: shap.KernelExplainer(model, background).shap_values(x, silent=True))
    assert (naive != 0).sum() <= 10
    assert np.abs(naive - truth).max() > 0.2 * np.abs(truth).max()
    assert naive.sum() == pytest.approx(truth.sum())  # additive all the same
    made = ours(model, x, background, "kernel")
    assert np.abs(made.phi - truth).max() < 1e-9 * np.abs(truth).max()


STAMP = 1_763_700_000.0


def dated(rows: Floats) -> Floats:
    return np.asarray((rows[:, 0] - STAMP) / 10 + rows[:, 1])


@pytest.fixture
def dates() -> tuple[Floats, Floats, Floats]:
    background = np.array([[STAMP + i, float(i % 2)] for i in range(20)])
    x = np.array([STAMP + 90, 1.0])
    return x, background, np.array([8.05, 0.5])


@pytest.mark.parametrize("algorithm", ["exact", "permutation"])
def test_trap_2_a_timestamp_does_not_vary_and_its_effect_is_lost(shap: Any, dates: Any, algorithm: Algorithm) -> None:
    x, background, truth = dates
    naive, base = replay.explain_directly(dated, x, background, algorithm=algorithm, seed=1, evals=500)
    assert naive[0] == 0
    assert abs(base + naive.sum() - dated(x[None])[0]) > 8  # not even additive
    assert ours(dated, x, background, algorithm).phi == pytest.approx(truth, abs=1e-6)


def test_trap_2_kernel_gives_the_timestamps_effect_to_another_feature(shap: Any, dates: Any) -> None:
    x, background, truth = dates
    naive, base = replay.explain_directly(dated, x, background, algorithm="kernel", seed=1, evals=500)
    assert naive.tolist() == pytest.approx([0.0, truth.sum()], abs=1e-6)
    assert base + naive.sum() == pytest.approx(dated(x[None])[0])  # additive all the same
    assert ours(dated, x, background, "kernel").phi == pytest.approx(truth, abs=1e-6)


def test_trap_2_text_fails_altogether(shap: Any) -> None:
    background = np.array([["a", 1.0], ["b", 2.0]], dtype=object)

    def model(rows: Any) -> Floats:
        return np.asarray([(row[0] == "a") * 2.0 + row[1] for row in rows], dtype=float)

    with pytest.raises(TypeError):
        replay.explain_directly(
            model, np.array(["a", 3.0], dtype=object), background, algorithm="permutation", seed=1, evals=50
        )
    cells = [["a", 3.0], *background.tolist()]
    book = Codebook([Column("t", "string"), Column("n", "number")], cells)
    codes = book.encode(cells)
    made = Replay(codes[1:], algorithm="permutation", seed=1)
    recorded = made.record(codes[0], "r")
    answers = model(zip(*book.decode(recorded), strict=True))
    assert made.replay(codes[0], "r", recorded, answers).phi == pytest.approx([1.0, 1.5])


def test_trap_3_a_threshold_narrowed_to_float32_sends_a_row_the_other_way(shap: Any) -> None:
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(5)
    # neighbours in float32: their middle, the threshold, is no float32 and rounds up to one of them half of the time
    start = np.float32(100)
    steps = np.array([start, *(start := np.nextafter(start, np.float32(999)) for _ in range(39))], dtype=np.float32)
    rows = rng.choice(steps, size=(500, 3)).astype(np.float64)
    target = (rows - 100) @ np.array([3.0, 2.0, 1.0]) * 1e4
    forest = RandomForestRegressor(20, max_depth=8, random_state=1).fit(rows, target)
    explained, background = rows[:60], rows[100:140]
    fx, fb = forest.predict(explained), forest.predict(background)
    scale = np.maximum(1.0, np.abs(fx))

    explainer = quietly(
        lambda: shap.TreeExplainer(forest, background.astype(np.float32), feature_perturbation="interventional")
    )
    naive = quietly(lambda: explainer.shap_values(explained.astype(np.float32), check_additivity=False))
    missed = np.abs(fb.mean() + naive.sum(axis=1) - fx) / scale
    assert (missed > 1e-4).sum() >= 5
    made = analytic.tree(forest, explained, background, fx=fx, fb=fb, output=0)
    assert made.failed == ()
    truth = brute_force(forest.predict, explained[0], background)
    assert np.abs(made.phi[0] - truth).max() < 1e-6 * scale[0]


def test_trap_3_the_check_is_ours_and_names_the_rows() -> None:
    made = analytic.checked(np.array([[1.0, 1.0], [1.0, 1.0], [math.nan, 0]]), 0.0, np.array([2.0, 2.00001, 0.0]))
    assert made.failed == (1, 2)


def test_trap_4_the_probability_of_a_tree_explainer_is_not_the_probabilitys_shapley_value(shap: Any) -> None:
    import xgboost

    rng = np.random.default_rng(2)
    rows = rng.normal(size=(400, 4)).astype(np.float32).astype(np.float64)
    target = (rows[:, 0] * rows[:, 1] + rows[:, 2] > 0).astype(int)
    model = xgboost.XGBClassifier(n_estimators=40, max_depth=4).fit(rows, target)
    x, background = rows[0], rows[50:80]

    def probability(given: Floats) -> Floats:
        return np.asarray(model.predict_proba(given)[:, 1], dtype=float)

    truth = brute_force(probability, x, background)
    naive = quietly(lambda: shap.TreeExplainer(model, background, model_output="probability").shap_values(x[None])[0])
    assert naive.sum() == pytest.approx(truth.sum(), abs=1e-5)  # locally accurate, so that no check of sums helps
    assert np.abs(naive - truth).max() > 0.01
    assert ours(probability, x, background, "exact").phi == pytest.approx(truth, abs=1e-9)
    estimate = explain(probability, x, background, rounds=400)
    assert (np.abs(estimate.phi - truth) <= 4.5 * estimate.se + 1e-9).all()


def test_trap_5_the_same_row_gets_other_values_the_second_time_and_in_a_batch(shap: Any) -> None:
    rng = np.random.default_rng(9)
    xs, background = rng.normal(size=(3, 6)), rng.normal(size=(10, 6))

    def model(rows: Floats) -> Floats:
        return np.asarray(np.tanh(rows.sum(axis=1)) * rows[:, 0] * rows[:, 1])

    masker = shap.maskers.Independent(background)
    explainer = shap.PermutationExplainer(model, masker, seed=1)
    alone = explainer(xs[2:], max_evals=13, silent=True).values[0]
    assert (explainer(xs[2:], max_evals=13, silent=True).values[0] != alone).any()
    batch = shap.PermutationExplainer(model, masker, seed=1)(xs, max_evals=13, silent=True).values[2]
    assert (batch != alone).any()
    np.random.seed(99)
    expected = np.random.random()
    np.random.seed(99)
    shap.PermutationExplainer(model, masker, seed=1)
    assert np.random.random() != expected  # the worker's generator is not its own any more

    first = [ours(model, x, background, "permutation", row_id=str(i), evals=26).phi for i, x in enumerate(xs)]
    again = ours(model, xs[2], background, "permutation", row_id="2", evals=26).phi
    assert again.tobytes() == first[2].tobytes()


def test_also_a_background_is_cut_to_a_hundred_rows_without_a_word(shap: Any) -> None:
    rng = np.random.default_rng(1)
    background, x, weights = rng.normal(size=(180, 3)), rng.normal(size=3), np.array([1.0, 2.0, 3.0])

    def model(rows: Floats) -> Floats:
        return np.asarray(rows @ weights)

    naive = shap.ExactExplainer(model, shap.maskers.Independent(background))(x[None], silent=True)
    assert abs(float(naive.base_values[0]) - model(background).mean()) > 0.01
    assert ours(model, x, background, "exact").base == pytest.approx(model(background).mean(), abs=1e-12)

    from sklearn.ensemble import RandomForestClassifier

    rows = rng.normal(size=(400, 4)).astype(np.float32).astype(np.float64)
    forest = RandomForestClassifier(10, max_depth=4, random_state=1).fit(rows, rows[:, 0] * rows[:, 1] > 0)
    explainer = quietly(lambda: shap.TreeExplainer(forest, rows[:180], feature_perturbation="interventional"))
    fb = forest.predict_proba(rows[:180])[:, 1]
    assert abs(explainer.expected_value[1] - fb.mean()) > 1e-3
    fx = forest.predict_proba(rows[300:305])[:, 1]
    assert analytic.tree(forest, rows[300:305], rows[:180], fx=fx, fb=fb, output=1).failed == ()


def test_also_an_answer_that_is_no_number_becomes_a_value_that_is_none(shap: Any) -> None:
    def model(rows: Floats) -> Floats:
        return np.where(rows[:, 0] > 0, np.nan, 1.0)

    x, background = np.array([1.0, 1.0]), np.array([[-1.0, 0.0], [-2.0, 3.0]])
    naive, _base = replay.explain_directly(model, x, background, algorithm="exact", seed=1, evals=100)
    assert np.isnan(naive).any()  # without an error
    with pytest.raises(ValueError, match="finite"):
        ours(model, x, background, "exact")


def test_log_odds_are_the_logit_of_the_output_and_never_a_link(shap: Any) -> None:
    """Three games go by one name; the logit of the output is the one that TreeSHAP's margin is exact for."""
    import xgboost

    rng = np.random.default_rng(4)
    rows = rng.normal(size=(500, 5)).astype(np.float32).astype(np.float64)
    target = (rows[:, 0] * rows[:, 1] + rows[:, 2] + rng.normal(size=500) > 1.5).astype(int)
    model = xgboost.XGBClassifier(n_estimators=15, max_depth=3).fit(rows, target)
    x, background = rows[3], rows[100:140]

    def probability(given: Floats) -> Floats:
        return np.asarray(model.predict_proba(given)[:, 1], dtype=float)

    def log_odds(given: Floats) -> Floats:
        clipped = np.clip(probability(given), 1e-6, 1 - 1e-6)
        return np.asarray(np.log(clipped / (1 - clipped)))

    margin = {
        "fx": np.asarray(model.predict(x[None], output_margin=True), dtype=float),
        "fb": np.asarray(model.predict(background, output_margin=True), dtype=float),
    }
    exact = analytic.tree(model.get_booster(), x[None], background, output=0, **margin)
    assert exact.failed == ()
    made = ours(log_odds, x, background, "exact")
    assert made.phi == pytest.approx(exact.phi[0], abs=1e-5)
    assert made.base == pytest.approx(exact.base, abs=1e-5)

    masker = shap.maskers.Independent(background)
    linked = shap.ExactExplainer(probability, masker, link=shap.links.logit)(x[None], silent=True)
    kernel = quietly(lambda: shap.KernelExplainer(probability, background, link="logit"))
    for base in (float(linked.base_values[0]), float(kernel.expected_value)):
        assert abs(base - exact.base) > 0.05
    assert np.abs(linked.values[0] - exact.phi[0]).max() > 0.01
