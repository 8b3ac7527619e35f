"""Which estimator answers a job: by the rules, or as somebody wishes; and on which scale."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit.refusals import BadInput
from explain import artifacts, preparing, queries
from explain.models import ExplanationJob, Standing, State
from tests.benchmarks import _adult
from tests.explain import served
from tests.explain.conftest import Perform, ask, register_endpoint, sample
from tests.explain.servers import serving

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture(scope="module")
def adult_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    rows, _target = _adult.census()
    with served.mlflow_server(_adult.model(), rows.head(20), tmp_path_factory.mktemp("adult")) as url:
        yield url


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier's own file, as a data scientist saves it."""
    path = tmp_path_factory.mktemp("saved") / "model.ubj"
    _adult.model().save_model(path)
    return path


def adult(endpoint: Any, *, rows: int = 5, **changes: Any) -> ExplanationJob:
    from explain import jobs
    from tests.explain.conftest import TRAINER

    names = list(_adult.census()[0].columns)
    explained, background = _adult.question()
    given: dict[str, Any] = {
        "rows": {f"r{i}": dict(zip(names, row, strict=True)) for i, row in enumerate(explained[:rows].tolist())},
        "background": [dict(zip(names, row, strict=True)) for row in background[:40].tolist()],
        **changes,
    }
    return jobs.request(endpoint.version, endpoint, by=TRAINER, **given)


def phi_of(job: ExplanationJob) -> np.ndarray:
    return np.array([row.phi for row in queries.results(job)])


def test_few_features_are_explained_exactly_by_every_coalition(perform: Perform) -> None:
    with serving() as (url, _server):
        endpoint = register_endpoint(url)
        exact = perform(ask(endpoint, algorithm="auto"))
        near = perform(ask(endpoint, algorithm="pair_perm"))
        reference = perform(ask(endpoint, algorithm="permutation", count=2))
        crossed = perform(ask(endpoint, algorithm="kernel", count=2))
    assert (exact.algorithm, exact.plan["because"], exact.standing) == ("exact", "few_features", Standing.EVIDENCE)
    error = np.array([row.se for row in queries.results(near)])
    assert (np.abs(phi_of(near) - phi_of(exact)) <= 4.5 * error + 1e-9).all()
    for job in (reference, crossed):
        assert job.state == State.FINISHED, job.error
        assert np.abs(phi_of(job) - phi_of(exact)[:2]).max() < 0.02


def test_a_tree_whose_files_answer_as_the_endpoint_is_explained_in_process(
    perform: Perform, adult_url: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = register_endpoint(adult_url, schema={})
    monkeypatch.setattr(artifacts, "path_of", lambda _version: saved)
    tree = perform(adult(endpoint, scale="log_odds"))
    assert (tree.state, tree.error) == (State.FINISHED, "")
    assert (tree.algorithm, tree.plan["because"]) == ("tree", "artifact.agrees")
    assert tree.receipt["artifact"]["kind"] == "tree"
    estimated = perform(adult(endpoint, scale="log_odds", algorithm="pair_perm", level="audit"))
    error = np.array([row.se for row in queries.results(estimated)])
    # served probabilities have 24 bits: their logit is that much off, at both ends of each difference
    assert (np.abs(phi_of(estimated) - phi_of(tree)) <= 4.5 * error + 1e-4).all()


def test_on_the_scale_of_probabilities_boosted_trees_are_explained_from_outside(
    perform: Perform, adult_url: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = register_endpoint(adult_url, schema={})
    monkeypatch.setattr(artifacts, "path_of", lambda _version: saved)
    by_rule = perform(adult(endpoint, rows=1))
    assert (by_rule.algorithm, by_rule.plan["because"]) == ("pair_perm", "black_box")
    wished = perform(adult(endpoint, rows=1, algorithm="tree"))
    assert wished.state == State.FAILED
    assert wished.error == str(preparing.IMPOSSIBLE["artifact.scale"])


def test_files_of_another_model_are_not_believed(
    perform: Perform, adult_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xgboost import XGBClassifier

    rows, target = _adult.census()
    other = XGBClassifier(n_estimators=5, max_depth=2, random_state=1, n_jobs=1).fit(rows[:2000], target[:2000])
    other.save_model(tmp_path / "other.ubj")
    monkeypatch.setattr(artifacts, "path_of", lambda _version: tmp_path / "other.ubj")
    endpoint = register_endpoint(adult_url, schema={})
    by_rule = perform(adult(endpoint, rows=1, scale="log_odds"))
    assert (by_rule.algorithm, by_rule.state, by_rule.standing) == ("pair_perm", State.FINISHED, Standing.DRAFT)
    assert by_rule.receipt["probe"]["findings"] == ["parity_failed"]
    assert by_rule.receipt["probe"]["parity"] > 0.01
    wished = perform(adult(endpoint, rows=1, scale="log_odds", algorithm="tree"))
    assert (wished.state, wished.error) == (State.FAILED, str(preparing.IMPOSSIBLE["artifact.parity"]))


def test_without_files_a_wish_for_the_tree_is_refused_and_the_rule_looks_from_outside(
    perform: Perform, adult_url: str
) -> None:
    endpoint = register_endpoint(adult_url, schema={})
    assert perform(adult(endpoint, rows=1, scale="log_odds")).algorithm == "pair_perm"
    wished = perform(adult(endpoint, rows=1, scale="log_odds", algorithm="tree"))
    assert (wished.state, wished.error) == (State.FAILED, str(preparing.IMPOSSIBLE["artifact.missing"]))


ODD = {
    "opened": 1_763_856_000,  # a time stamp: its neighbours are equal for np.isclose
    "balance": 12_345_678.25,
    "joined": "2024-02-29",
    "active": True,
    "children": None,
    "same": 1.0,
    "sector": "trade",
}


def odd_rows(count: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            **ODD,
            "opened": ODD["opened"] + int(rng.integers(0, 900)),
            "balance": ODD["balance"] + round(float(rng.normal(0, 3)), 2),
            "joined": str(rng.choice(["2024-02-29", "2025-01-01", "2023-12-31"])),
            "active": bool(rng.integers(0, 2)),
            "children": None if rng.integers(0, 2) else int(rng.integers(0, 4)),
            "sector": str(rng.choice(["retail", "trade", "public"])),
        }
        for _ in range(count)
    ]


def odd(row: dict[str, Any]) -> float:
    late = (row["opened"] - ODD["opened"]) / 900
    date = {"2023-12-31": 0.0, "2024-02-29": 0.1, "2025-01-01": 0.2}[row["joined"]]
    rich = 0.1 if row["balance"] > ODD["balance"] else 0.0
    return (
        0.1
        + 0.3 * late
        + date
        + rich
        + 0.1 * row["active"] * (row["sector"] == "trade")
        + 0.05 * (row["children"] or 0)
    )


@pytest.mark.parametrize("algorithm", ["pair_perm", "exact"])
def test_text_dates_booleans_missing_constant_and_time_stamps_are_explained(perform: Perform, algorithm: str) -> None:
    import json

    def behave(rows: list[dict[str, Any]], _count: int) -> Any:
        high = [min(odd(row), 0.99) for row in rows]
        return 200, json.dumps({"predictions": [[1 - p, p] for p in high]}).encode(), {}

    rows = {f"r{i}": row for i, row in enumerate(odd_rows(4, 1))}
    with serving(behave) as (url, _server):
        endpoint = register_endpoint(url, schema={})
        job = perform(ask(endpoint, rows=rows, background=odd_rows(20, 2), algorithm=algorithm))
    assert (job.state, job.error) == (State.FINISHED, "")
    names = job.names
    for row, asked in zip(queries.results(job), rows.values(), strict=True):
        assert row.fx == pytest.approx(odd(asked), abs=1e-12)
        assert abs(row.residual) < 1e-9
        assert row.phi[names.index("same")] == 0.0
    late = np.array([row.phi[names.index("opened")] for row in queries.results(job)])
    stamps = np.array([row["opened"] for row in rows.values()], dtype=float)
    assert np.corrcoef(late, stamps)[0, 1] > 0.99


def test_a_million_rows_and_a_single_background_row_are_refused_in_words() -> None:
    endpoint = register_endpoint("http://127.0.0.1:9/")
    row = sample(1)[0]
    with pytest.raises(BadInput, match="Give 1 to 500 rows"):
        ask(endpoint, rows=dict.fromkeys(map(str, range(1_000_000)), row))
    with pytest.raises(BadInput, match="background rows; here are 1"):
        ask(endpoint, background=[row])


def test_a_constant_background_says_what_differs(perform: Perform) -> None:
    row = sample(1)[0]
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), rows={"same": row, "other": sample(2)[1]}, background=[row] * 10))
    same, other = queries.results(job)
    assert same.phi == [0.0, 0.0, 0.0]
    assert other.base == same.fx
    assert abs(other.residual) < 1e-12
