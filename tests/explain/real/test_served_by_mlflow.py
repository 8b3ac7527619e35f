"""``mlflow models serve`` of MLflow 3.17: an XGBoost model, and a pipeline on text with gaps that answers in two ways.

Seen with 3.17.2: a row whose text is missing is scored otherwise alone than beside a complete row, as
``dataframe_split`` and as ``dataframe_records`` (a column of nothing but nulls arrives as ``None`` instead of NaN);
``inputs`` is consistent but disagrees with Parquet. JSON cuts 40.5 down to 40 in a whole-number column without a word,
where Parquet is refused. Parquet's int32 is taken for a ``long``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explain.engines import Inquiry, Question
from explain.methods.codes import columns_of
from explain.serving import probe
from explain.serving.clients import open_client
from explain.serving.mlflow import INPUTS, JSON, PARQUET
from explain.serving.protocol import RequestRefused, WrongAnswer
from tests.explain.real import adult, running
from tests.explain.real.agreement import Oracle, agrees, inspected
from tests.explain.real.conftest import Serve


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[running.Running]:
    with serve(running.mlflow) as started:
        yield started


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[running.Running]:
    folder = tmp_path_factory.mktemp("pipeline")
    with running.mlflow_pipeline(people(folder / "people.csv"), folder) as started:
        yield started


def people(path: Path) -> Path:
    """4,000 people of the census by work and age; one in seventeen has no work."""
    rows = adult.census().iloc[:4000]
    high = (rows["class"].str.strip() == ">50K").astype(int)
    rows[["workclass", "age"]].assign(label=high).to_csv(path, index=False)
    return path


def asked(*ages: Any, work: tuple[str | None, ...] = ("Private", None, "State-gov")) -> Inquiry:
    """One row for each age, with kinds of work in turn."""
    rows = [{"workclass": work[i % len(work)], "age": age} for i, age in enumerate(ages)]
    return Inquiry(
        columns=columns_of(rows),
        rows=tuple(Question(f"r{i}", tuple(row.values())) for i, row in enumerate(rows)),
        background=(),
        seed=1,
        tol=0.05,
        budget=1000,
    )


def test_its_explanations_are_those_of_the_model_in_memory(
    server: running.Running, true: Oracle, say: Callable[[str], None]
) -> None:
    say(f"MLflow, {agrees('mlflow', server, true)}")


def test_so_are_those_of_an_endpoint_in_sagemakers_contract(server: running.Running, true: Oracle) -> None:
    agrees("sagemaker", server, true)


def test_a_row_with_missing_text_gets_another_answer_in_company_and_the_probe_finds_it(
    pipeline: running.Running,
) -> None:
    report = inspected("mlflow", pipeline, asked(40, 50, 60, 35))
    assert "batch_dependent" in report.findings
    assert set(report.findings) & probe.FATAL
    assert report.differences[JSON] > 0.01
    assert report.wire == JSON


def test_over_parquet_it_is_consistent_and_the_probe_says_that_the_other_formats_differ(
    pipeline: running.Running,
) -> None:
    report = inspected("mlflow", pipeline, asked(40, 50, 60, 35), {"format": "parquet"})
    assert report.findings == ("formats_disagree",)
    assert (report.wire, report.differences[PARQUET]) == (PARQUET, 0.0)
    assert set(report.rates) == {PARQUET}


def test_with_nothing_missing_all_formats_agree_on_text_and_whole_numbers(pipeline: running.Running) -> None:
    report = inspected("mlflow", pipeline, asked(40, 50, 60, 35, work=("Private", "State-gov")))
    assert (report.findings, report.refused) == ((), {})
    assert set(report.rates) == {JSON, INPUTS, PARQUET}


def test_json_cuts_fractions_where_the_model_wants_whole_numbers_and_parquet_refuses_them(
    pipeline: running.Running,
) -> None:
    rows = asked(40.0, 40.5, work=("Private",))
    client = open_client("mlflow", pipeline.url)
    whole, cut = client.send(rows.table, wire=JSON)
    assert whole.tobytes() == cut.tobytes()
    with pytest.raises(RequestRefused, match="age"):
        client.send(rows.table, wire=PARQUET)
    client.close()
    report = inspected("mlflow", pipeline, rows)
    assert "age" in report.refused[PARQUET]


@pytest.mark.parametrize("wire", [JSON, INPUTS, PARQUET])
def test_a_missing_whole_number_is_refused_with_the_name_of_its_column(pipeline: running.Running, wire: str) -> None:
    client = open_client("mlflow", pipeline.url)
    with pytest.raises(RequestRefused, match="age"):
        client.send(asked(40, None, 30, work=("Private",)).table, wire=wire)
    client.close()


def test_the_xgboost_flavour_answers_labels_whatever_it_is_asked_and_the_probe_says_so(
    model_file: Path, tmp_path: Path
) -> None:
    with running.mlflow(model_file, tmp_path, answers="labels") as labels:
        for options in ({}, {"params": {"predict_method": "predict_proba"}}):
            report = inspected("mlflow", labels, adult.inquiry(), options, output=None)
            assert report.findings == ("labels",)
            assert set(np.unique(report.canaries)) <= {0.0, 1.0}
        with pytest.raises(WrongAnswer, match="labels"):
            inspected("mlflow", labels, adult.inquiry(), output=1)
