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


def test_all_seeds_share_one_request_whose_first_row_is_the_row_itself() -> None:
    asked: list[list[np.ndarray]] = []

    def score(cells: list[np.ndarray]) -> Floats:
        asked.append(cells)
        return smooth(cells)

    explain(score)
    assert [len(cells[0]) for cells in asked] == [lime.SEEDS * lime.FIRST_SAMPLES]
    assert [column[0] for column in asked[0]] == ROW


def test_one_seed_is_fitted_once_and_never_called_stable() -> None:
    made = explain(smooth, seeds=1)
    assert made.evals == made.samples == lime.FIRST_SAMPLES
    assert not made.stable
    assert np.isnan(made.spread).all()
    assert np.isfinite(made.weights).all()


def test_a_copied_explainer_gives_what_a_new_one_gives() -> None:
    used, new = (lime.Neighbourhood(COLUMNS, background(), [ROW]) for _each in range(2))
    for seed in (9, 8):
        lime.explain(used, ROW, smooth, seed=seed, row_id="other", budget=1)
    made = [lime.explain(around, ROW, smooth, seed=3, row_id="r", budget=1) for around in (used, new)]
    assert made[0].weights.tobytes() == made[1].weights.tobytes()


def narrow() -> tuple[tuple[Column, ...], list[list[float]]]:
    """A column of one value, and one whose first quartile has a single value."""
    rng = np.random.default_rng(3)
    columns = (Column("constant", "number"), Column("piled", "number"), Column("x", "number"))
    return columns, [[7.0, 5.0 if i % 2 else float(rng.uniform(6, 9)), float(rng.normal())] for i in range(60)]


def test_a_quartile_of_one_value_is_sampled_as_that_value_and_not_as_zero() -> None:
    columns, rows = narrow()
    seen: list[list[np.ndarray]] = []

    def score(cells: list[np.ndarray]) -> Floats:
        seen.append(cells)
        return np.asarray(cells[2] + 0.0)

    lime.explain(lime.Neighbourhood(columns, rows, rows[:1]), rows[0], score, seed=1, row_id="r", budget=1)
    constant, piled, _x = seen[0]
    assert set(constant.tolist()) == {7.0}
    assert piled.min() == 5.0
    assert piled.max() <= max(row[1] for row in rows)


def test_the_librarys_own_discretiser_asks_the_model_about_zeros() -> None:
    """The trap that the test above is about; when this fails, the library was mended."""
    from lime.lime_tabular import LimeTabularExplainer

    _columns, rows = narrow()
    seen: list[np.ndarray] = []

    def predict(sampled: np.ndarray) -> Floats:
        seen.append(sampled)
        return np.asarray(sampled[:, 2])

    naive = LimeTabularExplainer(np.array(rows), mode="regression", random_state=1)
    naive.explain_instance(np.array(rows[0]), predict, num_samples=200)
    assert 0.0 in seen[0][1:, 0]
    assert 0.0 in seen[0][1:, 1]


def test_other_quartiles_are_sampled_as_the_library_does() -> None:
    from lime.discretize import QuartileDiscretizer

    rows = np.random.default_rng(5).gamma(2, 3, (4_000, 1))
    ours, theirs = (kind(rows, [], ["x"], random_state=7) for kind in (lime._discretizer(), QuartileDiscretizer))
    for quartile in range(4):
        wanted = np.full((20_000, 1), float(quartile))
        quantiles = [
            np.percentile(discretizer.undiscretize(wanted), [0, 5, 25, 50, 75, 95, 100])
            for discretizer in (ours, theirs)
        ]
        assert quantiles[0] == pytest.approx(quantiles[1], rel=0.03, abs=0.02)
