"""Rows of a data set whose file lies behind the artifact proxy of a real MLflow."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from audit.refusals import BadInput
from explain import drawing
from registry import datasets
from tests.explain.conftest import TRAINER, register_endpoint
from tests.registry.tracking import Tracking

CSV = b"income,age,sector,label\n" + b"".join(b"%d.5,%d,retail,1\n" % (30 + i, 20 + i) for i in range(30))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("mlflow-artifacts:/tables/rows.csv", ""),
        ("runs:/{run}/rows.csv", ""),
        ("mlflow-artifacts:/tables/none.csv", "cannot be read"),
        ("mlflow-artifacts://10.0.0.1:5000/tables/rows.csv", "not behind the artifact proxy of mlflow"),
        ("mlflow-artifacts:/tables/%2e%2e/secret", "no path of a file"),
        ("runs:/{run}/../rows.csv", "no path of a file"),
        ("runs:/nosuchrun/rows.csv", "cannot be read"),
    ],
)
def test_rows_are_drawn_through_the_tracking_server(
    db: None, tracking: Tracking, settings: Any, place: str, words: str
) -> None:
    settings.MLFLOW_TRACKING_URI, settings.MLFLOW_SERVERS = tracking.url, []
    run = tracking.call("POST", "runs/create", experiment_id="0")["run"]["info"]
    under = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
    for path in ("tables", under):
        address = f"{tracking.url}/api/2.0/mlflow-artifacts/artifacts/{path}/rows.csv"
        httpx.put(address, content=CSV, timeout=30).raise_for_status()
    datasets.register_dataset(
        "applications",
        classification="none",
        subjects=[],
        regions_held=["azure:uaenorth"],
        source_uri=place.format(run=run["run_id"]),
        by=TRAINER,
    )
    version = register_endpoint("http://127.0.0.1:9/").version
    if words:
        with pytest.raises(BadInput, match=words):
            drawing.draw(version, "applications", rows=5, background=20, seed=1)
        return
    made = drawing.draw(version, "applications", rows=5, background=20, seed=1)
    assert (len(made.rows), len(made.background)) == (5, 20)
    assert all(row["age"] == 19 + int(line) and row["income"] == 29.5 + int(line) for line, row in made.rows.items())
