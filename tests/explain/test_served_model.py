"""Jobs against a forest that ``mlflow models serve`` really serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from explain import inputs, queries
from explain.engines import Inquiry, Question, ShapEngine
from explain.methods.codes import columns_of
from explain.models import Standing, State
from explain.serving import probe
from explain.serving.mlflow import INPUTS, JSON, PARQUET, RECORDS, MlflowClient
from explain.serving.scoring import Scorer
from tests.explain import served
from tests.explain.conftest import Perform, ask, register_endpoint


@pytest.fixture(scope="session")
def pipeline() -> Any:
    return served.trained()


@pytest.fixture(scope="session")
def pipeline_url(pipeline: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served.mlflow_server(pipeline, served.frame(50, seed=2), tmp_path_factory.mktemp("pipeline")) as url:
        yield url


@pytest.mark.usefixtures("committed_db")
def test_a_pipeline_with_text_and_numbers_is_explained_end_to_end(
    pipeline: Any, pipeline_url: str, perform: Perform
) -> None:
    job = perform(ask(register_endpoint(pipeline_url), count=5))
    assert (job.state, job.standing, job.error) == (State.FINISHED, Standing.EVIDENCE, "")
    rows = queries.results(job)
    direct = pipeline.predict_proba(pd.DataFrame([row.cells for row in inputs.rows_of(job)], columns=job.names))[:, 1]
    assert np.array_equal([row.fx for row in rows], direct)
    background = pipeline.predict_proba(
        pd.DataFrame([row.cells for row in inputs.background_of(job)], columns=job.names)
    )[:, 1]
    assert rows[0].base == pytest.approx(background.mean(), abs=1e-12)
    assert max(abs(row.residual) for row in rows) < 1e-12
    assert job.receipt["probe"]["findings"] == []


@pytest.mark.usefixtures("committed_db")
def test_lime_on_the_same_model_has_its_diagnostics(pipeline_url: str, perform: Perform) -> None:
    job = perform(ask(register_endpoint(pipeline_url), count=1, method="lime"))
    assert job.state == State.FINISHED, job.error
    (row,) = queries.results(job)
    assert 0 <= row.diagnostics["vsi"] <= 1
    assert row.diagnostics["samples"] >= 5000


def test_json_and_parquet_get_the_same_answers(pipeline: Any, pipeline_url: str) -> None:
    data = served.frame(40, seed=3).to_dict("records")
    inquiry = _inquiry(data[:5], data[5:])
    client = MlflowClient(pipeline_url)
    try:
        report = probe.inspect(client, inquiry.table, output=1, probability=True)
        assert report.refused == {}
        assert set(report.rates) == {JSON, INPUTS, PARQUET}
        assert report.server.startswith("mlflow ")
        direct = pipeline.predict_proba(pd.DataFrame(data))[:, 1]
        for wire in (JSON, RECORDS, INPUTS, PARQUET):
            assert np.array_equal(Scorer(client, wire=wire, output=1).score(inquiry.table).outputs, direct)
    finally:
        client.close()


def test_it_agrees_with_exact_interventional_treeshap_within_the_reported_error(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    forest, data = served.numeric_forest()
    background = data.iloc[:60].to_dict("records")
    rows = data.iloc[100:112].to_dict("records")
    with served.mlflow_server(forest, data.iloc[:50], tmp_path) as url:
        client = MlflowClient(url)
        scorer = Scorer(client, wire=PARQUET, output=1)
        inquiry = _inquiry(rows, background)
        found = ShapEngine(inquiry, scorer).explain(list(inquiry.rows))
        client.close()
    scores, largest = [], 0.0
    for row, result in zip(rows, found, strict=True):
        exact = served.tree_shap(forest, row, background)
        assert exact.sum() == pytest.approx(result.fx - result.base, abs=1e-6)
        off = np.abs(np.array(result.phi) - exact)
        # TreeSHAP itself works in float32: its rounding is not our error
        assert (off <= 4.5 * np.array(result.se) + 1e-6).all()
        scores += list(off <= 1.96 * np.array(result.se) + 1e-6)
        largest = max(largest, float(off.max() / np.abs(exact).max()))
        assert abs(result.residual) < 1e-12
    assert np.mean(scores) >= 0.88
    assert largest < 0.06


def _inquiry(rows: list[dict[str, Any]], background: list[dict[str, Any]]) -> Inquiry:
    return Inquiry(
        columns=columns_of([*rows, *background]),
        rows=tuple(Question(f"r{i}", tuple(row.values())) for i, row in enumerate(rows)),
        background=tuple(tuple(row.values()) for row in background),
        seed=3,
        tol=0.05,
        budget=2_000_000,
    )
