"""Exact values in process are used where the artifact says what the endpoint says, and nowhere else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost

from explain.engines import Inquiry, Question, ShapEngine
from explain.in_process import ArtifactEngine, numbers, parity
from explain.isolated import run as isolated
from explain.methods.codes import Column, Floats
from explain.serving.protocol import Table
from explain.serving.scoring import Scored

COLUMNS = (Column("a", "number"), Column("b", "integer"), Column("c", "boolean"), Column("d", "number"))


@pytest.fixture(scope="module")
def served() -> tuple[Any, list[tuple[Any, ...]]]:
    rng = np.random.default_rng(12)
    cells = [
        (float(rng.normal()), int(rng.integers(0, 9)), bool(rng.integers(2)), None if i % 5 == 0 else float(i % 7))
        for i in range(300)
    ]
    rows = numbers(COLUMNS, cells)
    assert rows is not None
    target = (rows[:, 0] * rows[:, 2] + rows[:, 1] / 9 + np.nan_to_num(rows[:, 3]) / 9 > 0.8).astype(int)
    return xgboost.XGBClassifier(n_estimators=30, max_depth=4).fit(rows, target), cells


@pytest.fixture(scope="module")
def artifact(served: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.ubj"
    served[0].save_model(path)
    return path


class _Endpoint:
    """Answers log-odds of the served probabilities; ``changed`` rows (by their first cell) get other ones."""

    def __init__(self, model: Any, changed: tuple[float, ...] = ()) -> None:
        self._model, self._changed, self.rows = model, changed, 0

    def stopped(self) -> None:
        """Nobody cancels."""

    def probability(self, rows: Floats) -> Floats:
        return np.asarray(self._model.predict_proba(rows)[:, 1], dtype=np.float64)

    def score(self, table: Table) -> Scored:
        self.rows += len(table)
        found = numbers(table.columns, list(zip(*[cells.tolist() for cells in table.cells], strict=True)))
        assert found is not None
        clipped = np.clip(self.probability(found), 1e-6, 1 - 1e-6)
        outputs = np.log(clipped / (1 - clipped)) + np.isin(found[:, 0], self._changed) * 0.01
        problems = {}
        for i in np.flatnonzero(found[:, 1] == 99):
            outputs[i], problems[int(i)] = math.nan, "No number."
        return Scored(outputs, problems)


def inquiry(cells: list[tuple[Any, ...]], *more: tuple[Any, ...]) -> Inquiry:
    return Inquiry(
        columns=COLUMNS,
        rows=tuple(Question(f"r{i}", row) for i, row in enumerate([*cells[:6], *more])),
        background=tuple(cells[100:140]),
        seed=1,
        tol=0.05,
        budget=10**6,
    )


def engine(artifact: Path, asked: Inquiry, endpoint: _Endpoint) -> ArtifactEngine:
    return ArtifactEngine(asked, endpoint, "tree", artifact, output=1, fallback=ShapEngine)  # type: ignore[arg-type]


def test_parity_is_measured_on_what_is_served(served: Any, artifact: Path) -> None:
    model, cells = served
    asked = inquiry(cells)
    rows = numbers(COLUMNS, asked.background)
    assert rows is not None
    answered = _Endpoint(model).probability(rows)
    found = parity(artifact, asked, answered, output=1)
    assert found.difference < 1e-6
    assert (found.kind, found.scale) == ("tree", "log_odds")
    assert parity(artifact, asked, answered, output=None) == found
    assert parity(artifact, asked, answered + 1e-4, output=1).difference > 5e-5
    assert math.isnan(parity(artifact, asked, np.full(40, np.nan), output=1).difference)
    with pytest.raises(isolated.Unloadable):
        parity(artifact, asked, answered, output=2)


def test_rows_are_explained_in_process_and_cost_one_model_row_each(served: Any, artifact: Path) -> None:
    model, cells = served
    endpoint, asked = _Endpoint(model), inquiry(cells)
    results = engine(artifact, asked, endpoint).explain(asked.rows)
    assert endpoint.rows == 6
    assert all(row.converged and row.diagnostics["exact"] and abs(row.residual or 0) < 1e-6 for row in results)
    outside = ShapEngine(asked, endpoint).explain(asked.rows)  # type: ignore[arg-type]
    for row, estimate in zip(results, outside, strict=True):
        error = np.abs(np.array(row.phi) - estimate.phi)
        assert (error <= 4.5 * np.array(estimate.se) + 1e-4).all()


def test_a_row_that_the_endpoint_answers_differently_is_explained_from_outside(served: Any, artifact: Path) -> None:
    model, cells = served
    bad = (5.0, 99, True, 1.0)
    asked = inquiry(cells, bad)
    results = engine(artifact, asked, _Endpoint(model, changed=(cells[2][0],))).explain(asked.rows)
    assert [row.row_id for row in results] == [f"r{i}" for i in range(7)]
    assert results[2].diagnostics["fallback"] == "disagrees"
    assert results[2].evals > 1
    assert results[6].problem == "No number."
    assert all("exact" in results[i].diagnostics for i in (0, 1, 3, 4, 5))


def test_text_columns_are_left_to_the_endpoint(artifact: Path) -> None:
    asked = Inquiry((Column("t", "string"),), (Question("r", ("x",)),), (("y",),), seed=1, tol=0.05, budget=9)
    with pytest.raises(isolated.Unloadable, match="columns"):
        ArtifactEngine(asked, None, "tree", artifact, output=1, fallback=ShapEngine)  # type: ignore[arg-type]
