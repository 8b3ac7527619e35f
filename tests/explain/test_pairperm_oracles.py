"""The estimator against results that are known exactly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from explain.methods.codes import Codebook, Column, Floats
from explain.methods.pairperm import Attribution, Estimator

Model = Callable[[Floats], Floats]


def explain(
    model: Model,
    x: Floats,
    background: Floats,
    *,
    seed: int = 7,
    row_id: str = "row-1",
    tol: float = 0.0,
    rounds: int = 2,
    least: int = 2,
) -> Attribution:
    columns = [Column(str(j), "number") for j in range(len(x))]
    rows = [x.tolist(), *background.tolist()]
    book = Codebook(columns, rows)
    codes = book.encode(rows)

    def score(coded: np.ndarray) -> Floats:
        return model(np.column_stack(book.decode(coded)).astype(float)) if len(coded) else np.zeros(0)

    estimator = Estimator(codes[0], codes[1:], seed=seed, row_id=row_id, tol=tol, least=least, most=rounds)
    fx, fb = float(score(codes[:1])[0]), score(codes[1:])
    while not estimator.done:
        estimator.take(score(estimator.plan_rounds()), fx=fx, fb=fb)
    return estimator.result()


def brute_force(model: Model, x: Floats, background: Floats) -> Floats:
    """Shapley values by their definition: every coalition, every background row."""
    features = len(x)
    value: dict[frozenset[int], float] = {}
    for size in range(features + 1):
        for coalition in itertools.combinations(range(features), size):
            mixed = background.copy()
            mixed[:, list(coalition)] = x[list(coalition)]
            value[frozenset(coalition)] = float(model(mixed).mean())
    phi = np.zeros(features)
    for j in range(features):
        for coalition, v in value.items():
            if j not in coalition:
                weight = math.factorial(len(coalition)) * math.factorial(features - len(coalition) - 1)
                phi[j] += weight / math.factorial(features) * (value[coalition | {j}] - v)
    return phi


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261121)


def test_a_linear_model_is_exact(rng: np.random.Generator) -> None:
    weights, x, background = rng.normal(size=9), rng.normal(size=9), rng.normal(size=(40, 9))
    result = explain(lambda rows: rows @ weights, x, background)
    assert np.abs(result.phi - weights * (x - background.mean(axis=0))).max() < 1e-13
    assert result.se.max() < 1e-13


def test_a_model_of_second_order_is_exact_because_the_pairs_are_antithetic(rng: np.random.Generator) -> None:
    square, x, background = rng.normal(size=(6, 6)), rng.normal(size=6), rng.normal(size=(25, 6))

    def model(rows: Floats) -> Floats:
        return np.asarray(np.einsum("ni,ij,nj->n", rows, square, rows))

    result = explain(model, x, background)
    assert np.abs(result.phi - brute_force(model, x, background)).max() < 1e-12


@pytest.mark.parametrize("features", [2, 4, 6, 8])
def test_it_agrees_with_brute_force_within_its_own_error(rng: np.random.Generator, features: int) -> None:
    weights, x, background = rng.normal(size=features), rng.normal(size=features), rng.normal(size=(30, features))

    def model(rows: Floats) -> Floats:
        return np.asarray(np.tanh(rows @ weights) * np.exp(rows[:, 0] / 3) + rows.prod(axis=1))

    truth = brute_force(model, x, background)
    result = explain(model, x, background, rounds=200, tol=0.0)
    assert (np.abs(result.phi - truth) <= 4.5 * result.se + 1e-12).all()
    assert np.abs(result.phi - truth).max() < 0.05 * np.abs(truth).max()


def test_additivity_holds_by_telescoping_however_few_the_rounds(rng: np.random.Generator) -> None:
    weights, x, background = rng.normal(size=12), rng.normal(size=12), rng.normal(size=(50, 12))
    result = explain(lambda rows: np.tanh(rows @ weights) + rows[:, 0] * rows[:, 1] * rows[:, 2], x, background)
    assert abs(result.residual) < 1e-14


def test_a_feature_that_the_model_ignores_gets_exactly_zero(rng: np.random.Generator) -> None:
    result = explain(lambda rows: np.exp(rows[:, 0]) * rows[:, 1], rng.normal(size=4), rng.normal(size=(30, 4)))
    assert result.phi[2] == 0.0
    assert result.phi[3] == 0.0


def test_features_that_are_symmetric_get_the_same_value() -> None:
    background = np.array([[a, b, c] for a in (0.0, 2.0) for b in (0.0, 2.0) for c in (1.0, 3.0)])
    result = explain(
        lambda rows: rows[:, 0] * rows[:, 1] * rows[:, 2], np.array([1.0, 1.0, 5.0]), background, rounds=400
    )
    assert abs(result.phi[0] - result.phi[1]) <= 4.5 * math.hypot(result.se[0], result.se[1])


def test_a_row_that_equals_its_background_has_no_contributions(rng: np.random.Generator) -> None:
    x = rng.normal(size=5)
    result = explain(lambda rows: np.exp(rows.sum(axis=1)), x, np.tile(x, (20, 1)))
    assert (result.phi == 0).all()
    assert result.converged
    assert result.evals == 0


def test_values_that_are_nearly_equal_are_still_different() -> None:
    """shap's ``np.isclose`` loses a unix timestamp here; codes do not."""
    stamp = 1_763_700_000.0
    background = np.array([[stamp + i, float(i % 2)] for i in range(20)])
    result = explain(lambda rows: rows[:, 0] - stamp + rows[:, 1], np.array([stamp + 40, 1.0]), background)
    assert result.phi[0] == pytest.approx(40 - 9.5, abs=1e-6)
    assert abs(result.residual) < 1e-6


def test_the_interval_covers_the_truth_about_as_often_as_it_says(rng: np.random.Generator) -> None:
    weights = rng.normal(size=6)

    def model(rows: Floats) -> Floats:
        return np.asarray(np.tanh(rows @ weights) * (1 + rows[:, 0] * rows[:, 1]))

    covered = []
    for i in range(60):
        x, background = rng.normal(size=6), rng.normal(size=(40, 6))
        result = explain(model, x, background, rounds=4, least=4, row_id=f"row-{i}")
        covered += list(np.abs(result.phi - brute_force(model, x, background)) <= 1.96 * result.se)
    assert 0.90 <= np.mean(covered) <= 0.98


def test_a_row_alone_equals_the_same_row_after_others(rng: np.random.Generator) -> None:
    weights, background, xs = rng.normal(size=8), rng.normal(size=(30, 8)), rng.normal(size=(5, 8))

    def model(rows: Floats) -> Floats:
        return np.asarray(np.tanh((rows * weights).sum(axis=1)))

    alone = explain(model, xs[4], background, row_id="e")
    for name, x in zip("abcd", xs, strict=False):
        explain(model, x, background, row_id=name)
    after = explain(model, xs[4], background, row_id="e")
    assert alone.phi.tobytes() == after.phi.tobytes()
    assert alone.se.tobytes() == after.se.tobytes()


def test_it_stops_when_the_interval_is_within_the_tolerance_and_says_when_it_is_not(rng: np.random.Generator) -> None:
    weights, x, background = rng.normal(size=8), rng.normal(size=8), rng.normal(size=(30, 8))

    def model(rows: Floats) -> Floats:
        return np.asarray(np.tanh(3 * rows @ weights) * rows[:, 0])

    easy = explain(model, x, background, tol=0.3, rounds=32)
    assert easy.converged
    assert easy.rounds < 32
    hard = explain(model, x, background, tol=0.0001, rounds=3)
    assert not hard.converged
    assert hard.rounds == 3
