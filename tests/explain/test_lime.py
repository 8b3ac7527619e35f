"""LIME with its diagnostics, on models whose local behaviour is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from explain.methods import lime
from explain.methods.codes import Column, Floats, UnusableColumn

COLUMNS = (Column("income", "number"), Column("age", "integer"), Column("sector", "string"))


def background() -> list[list[Any]]:
    rng = np.random.default_rng(2)
    return [
        [float(rng.normal(50, 20)), int(rng.integers(18, 80)), ["retail", "trade", "public"][i % 3]] for i in range(60)
    ]


ROW = [95.0, 20, "retail"]


def smooth(cells: list[np.ndarray]) -> Floats:
    income, age, sector = cells
    assert age.dtype == np.int64
    assert set(sector.tolist()) <= {"retail", "trade", "public"}
    return np.asarray(0.004 * income - 0.002 * age + 0.3 * (sector == "retail"), dtype=float)


def explain(score: lime.Score, **changes: Any) -> lime.LocalModel:
    around = lime.Neighbourhood(COLUMNS, background(), [ROW])
    given: dict[str, Any] = {"seed": 3, "row_id": "r", "budget": 10**9, **changes}
    return lime.explain(around, ROW, score, **given)


def test_a_simple_model_is_stable_and_its_signs_are_right() -> None:
    made = explain(smooth)
    assert made.stable
    assert (np.sign(made.weights) == [1, 1, 1]).all()
    assert made.weights[2] == max(made.weights)
    assert made.samples == lime.FIRST_SAMPLES
    assert made.evals == lime.SEEDS * lime.FIRST_SAMPLES


def test_the_same_seed_gives_the_same_bytes_and_leaves_numpys_own_generator_alone() -> None:
    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    one, other = explain(smooth), explain(smooth)
    assert np.random.random() == expected
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.weights.tobytes() != explain(smooth, seed=4).weights.tobytes()


def test_a_model_without_a_local_slope_is_not_accepted() -> None:
    def noise(cells: list[np.ndarray]) -> Floats:
        return np.asarray(np.abs(np.sin(cells[0] * 1e6 + cells[1])), dtype=float)

    made = explain(noise, budget=lime.SEEDS * lime.FIRST_SAMPLES)
    assert not made.stable
    assert made.r2 < 0.5


def test_samples_are_doubled_while_the_seeds_disagree_and_the_budget_lasts() -> None:
    def noise(cells: list[np.ndarray]) -> Floats:
        return np.asarray(np.abs(np.sin(cells[0] * 1e6 + cells[1])), dtype=float)

    made = explain(noise, budget=lime.SEEDS * lime.FIRST_SAMPLES * 3)
    assert made.samples in (lime.FIRST_SAMPLES, 2 * lime.FIRST_SAMPLES)
    assert made.evals <= lime.SEEDS * lime.FIRST_SAMPLES * 3


def test_a_numeric_column_with_missing_values_is_refused_by_name() -> None:
    rows = [*background(), [None, 30, "retail"]]
    with pytest.raises(UnusableColumn, match="income"):
        lime.Neighbourhood(COLUMNS, rows, [ROW])


def test_a_category_may_be_missing_and_a_column_may_be_constant() -> None:
    rows = [[5.0, 30, None if i % 2 else "retail"] for i in range(20)]
    around = lime.Neighbourhood(COLUMNS, rows, [ROW])
    made = lime.explain(
        around, ROW, lambda cells: np.asarray(cells[0] / 100, dtype=float), seed=1, row_id="a", budget=10**6
    )
    assert np.isfinite(made.weights).all()
