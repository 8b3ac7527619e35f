"""shap's unmodified explainers by record and replay: equal to the last bit, safe in threads, honest about errors."""

from __future__ import annotations

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explain.engines import Inquiry, Question
from explain.methods import replay
from explain.methods.codes import Codebook, Codes, Column, Floats
from explain.methods.replay import Algorithm, Replay
from explain.reference import ReplayEngine, evals_for
from explain.serving.protocol import ServingError, Table
from explain.serving.scoring import Scored
from tests.explain.test_pairperm_oracles import brute_force

ROOT = Path(__file__).resolve().parents[2]
FEATURES = 5
ALGORITHMS: tuple[Algorithm, ...] = ("exact", "permutation", "kernel")


def wavy(rows: Floats) -> Floats:
    """Interactions of every order."""
    return np.asarray(np.tanh(rows @ np.arange(1, 6) / 3) * (1 + rows[:, 0] * rows[:, 1] * rows[:, 2]))


class World:
    """A row, its background, and a model over their codes."""

    def __init__(self, size: int = 20, seed: int = 3) -> None:
        values = np.random.default_rng(seed).normal(size=(size + 3, FEATURES))
        self.values = values
        self.book = Codebook([Column(str(j), "number") for j in range(FEATURES)], values.tolist())
        codes = self.book.encode(values.tolist())
        self.xs, self.background = codes[:3], codes[3:]

    def model(self, codes: Any) -> Floats:
        return wavy(np.column_stack(self.book.decode(np.asarray(codes).astype(int))))

    def explain(self, algorithm: Algorithm, row: int = 0, **changes: Any) -> replay.Values:
        made = Replay(self.background, algorithm=algorithm, seed=5, **changes)
        recorded = made.record(self.xs[row], f"r{row}")
        return made.replay(self.xs[row], f"r{row}", recorded, self.model(recorded))


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.mark.parametrize(("algorithm", "evals"), [("exact", None), ("permutation", None), ("kernel", 20)])
def test_replayed_values_equal_the_explainer_that_calls_the_model_to_the_last_bit(
    world: World, algorithm: Algorithm, evals: int | None
) -> None:
    made = world.explain(algorithm, evals=evals)
    phi, base = replay.explain_directly(
        world.model,
        world.xs[0].astype(float),
        world.background.astype(float),
        algorithm=algorithm,
        seed=replay.row_seed(5, "r0"),
        evals=evals or replay.default_evals(algorithm, FEATURES),
    )
    assert made.phi.tobytes() == phi.tobytes()
    assert made.base == base
    assert made.base + made.phi.sum() == pytest.approx(float(world.model(world.xs[:1])[0]), abs=1e-12)


def test_exact_values_are_the_brute_force_ones_and_have_no_error(world: World) -> None:
    made = world.explain("exact")
    truth = brute_force(wavy, world.values[0], world.values[3:])
    assert np.abs(made.phi - truth).max() < 1e-14
    assert made.complete
    assert made.se is not None
    assert (made.se == 0).all()


def test_a_kernel_that_enumerates_everything_is_exact_and_one_that_samples_has_no_error(world: World) -> None:
    whole, sampled = world.explain("kernel"), world.explain("kernel", evals=20)
    truth = brute_force(wavy, world.values[0], world.values[3:])
    assert whole.complete
    assert np.abs(whole.phi - truth).max() < 1e-9
    assert not sampled.complete
    assert sampled.se is None


def test_the_error_over_permutations_covers_the_truth(world: World) -> None:
    covered = []
    for seed in range(12):
        other = World(size=8, seed=100 + seed)
        made = other.explain("permutation", evals=12 * (2 * FEATURES + 1))
        assert made.se is not None
        truth = brute_force(wavy, other.values[0], other.values[3:])
        covered += list(np.abs(made.phi - truth) <= 2.2 * made.se + 1e-12)  # Student's t with 11 degrees of freedom
    assert np.mean(covered) >= 0.85


def test_one_permutation_has_no_error(world: World) -> None:
    assert world.explain("permutation", evals=2 * FEATURES + 1).se is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_neither_order_nor_threads_nor_numpys_own_generator_matter(world: World, algorithm: Algorithm) -> None:
    evals = None if algorithm == "exact" else 30
    alone = [world.explain(algorithm, row, evals=evals).phi.tobytes() for row in range(3)]
    np.random.seed(12)
    expected = np.random.random()
    np.random.seed(12)
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda row: world.explain(algorithm, row, evals=evals).phi.tobytes(), [2, 1, 0, 2]))
    assert together == [alone[2], alone[1], alone[0], alone[2]]
    assert np.random.random() == expected


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_answer_that_is_no_number_raises_and_does_not_spread(world: World, algorithm: Algorithm) -> None:
    made = Replay(world.background, algorithm=algorithm, seed=5)
    recorded = made.record(world.xs[0], "r0")
    answers = world.model(recorded)
    answers[7] = math.nan
    with pytest.raises(ValueError, match="finite"):
        made.replay(world.xs[0], "r0", recorded, answers)
    with pytest.raises(ValueError, match="finite"):
        made.replay(world.xs[0], "r0", recorded, answers[:-1])


def test_answers_to_other_rows_are_refused(world: World) -> None:
    made = Replay(world.background, algorithm="permutation", seed=5)
    recorded = made.record(world.xs[0], "r0")
    with pytest.raises(RuntimeError, match="other rows"):
        made.replay(world.xs[0], "another row's id", recorded, world.model(recorded))


def test_a_row_that_equals_its_background_has_no_contributions(world: World) -> None:
    same = np.repeat(world.xs[:1], 4, axis=0)
    for algorithm in ALGORITHMS:
        made = Replay(same, algorithm=algorithm, seed=1)
        recorded = made.record(world.xs[0], "r")
        values = made.replay(world.xs[0], "r", recorded, world.model(recorded))
        assert (values.phi == 0).all()
        assert values.complete


def test_too_few_coalitions_are_refused_before_anything_is_scored(world: World) -> None:
    with pytest.raises(ValueError, match="at least 11"):
        Replay(world.background, algorithm="permutation", seed=1, evals=10)


class _Service:
    """Stands in for an endpoint; counts rows and calls."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def score(self, rows: Table) -> Scored:
        self.sent.append(len(rows))
        numbers, texts = [np.asarray(rows.cells[j], dtype=float) for j in (0, 1)], rows.cells[2]
        outputs = np.tanh(numbers[0] / 50 - numbers[1] / 40 + (texts == "retail") * numbers[0] / 90)
        outputs[numbers[0] == 666.0] = math.nan
        return Scored(outputs, {int(i): "No number." for i in np.flatnonzero(np.isnan(outputs))})


def inquiry(**changes: Any) -> Inquiry:
    rng = np.random.default_rng(4)
    rows = [(float(rng.normal(50, 20)), int(rng.integers(18, 80)), ["retail", None][i % 2]) for i in range(14)]
    given: dict[str, Any] = {
        "columns": (Column("income", "number"), Column("age", "integer"), Column("sector", "string")),
        "rows": tuple(Question(f"r{i}", cells) for i, cells in enumerate(rows[:4])),
        "background": tuple(rows[4:]),
        "seed": 9,
        "tol": 0.05,
        "budget": 1_000_000,
        **changes,
    }
    return Inquiry(**given)


def engine(algorithm: Algorithm, service: _Service, asked: Inquiry) -> ReplayEngine:
    return ReplayEngine(asked, service, algorithm)  # type: ignore[arg-type]


def test_the_engine_explains_text_and_missing_values_in_one_request_for_all_rows() -> None:
    asked, service = inquiry(), _Service()
    results = engine("exact", service, asked).explain(asked.rows)
    assert [row.row_id for row in results] == ["r0", "r1", "r2", "r3"]
    assert all(row.converged and abs(row.residual or 0) < 1e-12 for row in results)
    assert len(service.sent) == 2  # the background, then everything
    assert service.sent[1] < sum(row.evals for row in results)  # each distinct row once


def test_results_do_not_depend_on_the_chunk() -> None:
    asked = inquiry()
    whole = engine("permutation", _Service(), asked).explain(asked.rows)
    single = [engine("permutation", _Service(), asked).explain([row])[0] for row in reversed(asked.rows)]
    assert whole == single[::-1]


def test_a_row_without_a_number_has_a_problem_and_the_others_their_values() -> None:
    asked = inquiry()
    poisoned = Question("bad", (666.0, 30, "retail"))
    asked = inquiry(rows=(*asked.rows, poisoned))
    *good, bad = engine("exact", _Service(), asked).explain(asked.rows)
    assert bad.problem == "No number."
    assert not any(row.problem for row in good)


def test_kernel_is_a_draft_unless_it_is_exact_and_says_so() -> None:
    asked = inquiry()
    for row in engine("kernel", _Service(), asked).explain(asked.rows):
        assert row.converged
        assert row.diagnostics["exact"]
    wide = Inquiry(
        columns=tuple(Column(str(j), "number") for j in range(4)),
        rows=(Question("r", (1.0, 2.0, 3.0, 4.0)),),
        background=((0.0, 0.0, 0.0, 1.0), (2.0, 1.0, 1.0, 0.0)),
        seed=1,
        tol=0.05,
        budget=20,  # ten coalitions: fewer than the fourteen of four features, and one permutation of nine
    )

    class Sum(_Service):
        def score(self, rows: Table) -> Scored:
            return Scored(np.sum([np.asarray(cell, dtype=float) for cell in rows.cells], axis=0), {})

    for algorithm in ("kernel", "permutation"):
        (row,) = engine(algorithm, Sum(), wide).explain(wide.rows)
        assert not row.converged
        assert row.diagnostics == {"exact": False, "error_known": False, "coalitions": 10}
        assert row.certain == 0


@pytest.mark.parametrize(
    ("algorithm", "features", "code"),
    [("exact", 17, "exact.too_many_features"), ("exact", 12, "budget.too_small"), ("kernel", 600, "budget.too_small")],
)
def test_what_cannot_be_afforded_is_refused_with_a_sentence(algorithm: Algorithm, features: int, code: str) -> None:
    with pytest.raises(ServingError) as refused:
        evals_for(algorithm, features=features, background=100, budget_per_row=100_000)
    assert refused.value.code == code
    assert str(features) in refused.value.sentence


def test_codes_stay_apart_however_many_there_are() -> None:
    """np.isclose calls 200,000 and 200,001 equal; the codes of a row's own question start at zero."""
    background: Codes = np.array([[200_001, 5], [200_002, 6]], dtype=np.int32)
    x: Codes = np.array([200_000, 5], dtype=np.int32)

    def model(codes: Any) -> Floats:
        return np.asarray(codes[:, 0] - 200_000.0)

    for algorithm in ALGORITHMS:
        made = Replay(background, algorithm=algorithm, seed=1)
        recorded = made.record(x, "r")
        assert made.replay(x, "r", recorded, model(recorded)).phi == pytest.approx([-1.5, 0.0], abs=1e-12)


def test_importing_the_estimators_imports_no_library_of_the_workers() -> None:
    modules = "reference, in_process, isolated.run, methods.replay, methods.analytic, methods.choice, methods.lime"
    code = "import sys\n" + "\n".join(f"import explain.{name}" for name in modules.split(", "))
    code += "\nprint(sorted({'shap', 'lime', 'numba', 'sklearn', 'xgboost', 'skops', 'joblib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"
