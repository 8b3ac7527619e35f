"""A version beside any other: the first sentence concludes, and what is not known is not called the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from registry import datasets, differences, versions
from registry.lineage import edges
from registry.models import ModelVersion
from tests.registry.catalogue import BY, Catalogue

pytestmark = pytest.mark.django_db
Browser = Callable[[str], Client]
Api = Callable[[str], Client]


def trained(catalogue: Catalogue, number: int, **more: Any) -> ModelVersion:
    """A version with a run of its own, which read ``loans`` unless ``reads`` names other data sets."""
    reads = more.pop("reads", [catalogue.loans])
    params = more.pop("params", {})
    run = edges.register_run(f"run-{number}", tracking_server="", contributors=["yusuf"], params=params, by=BY)
    for data in reads:
        edges.record_edge(data, run, by=BY)
    version = versions.register_version(
        more.pop("model", catalogue.first.model),
        digest=Catalogue.digest(number),
        trained_by=["yusuf"],
        run_id=run.run_id,
        **more,
        by=BY,
    )
    edges.record_edge(run, version, by=BY)
    return version


@pytest.fixture
def pair(catalogue: Catalogue) -> tuple[ModelVersion, ModelVersion]:
    """Two versions that differ in everything."""
    cards = datasets.register_dataset(
        "cards", classification="personal", subjects=["SA"], regions_held=["gcp:me-central2"], digest="aa11", by=BY
    )
    later = datasets.register_dataset(
        "cards.bb22", classification="unknown", subjects=[], regions_held=[], digest="bb22", by=BY
    )
    older = trained(
        catalogue,
        20,
        reads=[catalogue.loans, cards],
        params={"depth": "4", "eta": "0.1"},
        metrics={"auc": "0.80", "brier": "0.20", "rows": "10"},
        schema={"inputs": [{"name": "age", "type": "long"}, {"name": "sex", "type": "string"}]},
        dependencies=["numpy==2.0"],
    )
    newer = trained(
        catalogue,
        21,
        reads=[catalogue.loans, later],
        params={"depth": "6", "eta": "0.1"},
        metrics={"auc": "0.85", "brier": "0.21", "rows": "12", "gini": "0.7"},
        schema={"inputs": [{"name": "age", "type": "double"}, {"name": "income", "type": "double"}]},
        dependencies=["numpy==2.1", "pandas==3.0"],
    )
    return older, newer


def test_everything_that_differs_is_told(pair: tuple[ModelVersion, ModelVersion], api_for: Api) -> None:
    older, newer = pair
    told = api_for("ci").get(f"/api/v1/models/credit-scoring/versions/{newer.number}/diff?with={older.number}").json()
    assert told["conclusion"] == (
        f"{newer.label} against {older.label}: 1 metric better, 1 metric worse, 1 metric changed; 2 data sets differ; "
        "1 parameter differs; 3 features differ; 2 dependencies differ."
    )
    verdicts = {each["name"]: (each["change"], each["verdict"]) for each in told["metrics"]}
    assert verdicts == {
        "auc": ("+0.05", "better"),
        "brier": ("+0.01", "worse"),
        "gini": ("", ""),
        "rows": ("+2", "changed"),
    }
    data = {each["data_set"]: each for each in told["data"]["changes"]}
    assert {name: each["standing"] for name, each in data.items()} == {
        "dataset:cards": "dropped",
        "dataset:cards.bb22": "added",
        "dataset:loans": "same",
    }
    assert data["dataset:cards.bb22"]["version_of_the_same_as"] == "cards"
    assert data["dataset:cards.bb22"]["unknown_facts"] == ["classification", "regions", "subjects"]
    features = {each["name"]: each["standing"] for each in told["features"]["changes"]}
    assert features == {"age": "changed", "income": "added", "sex": "dropped"}
    assert [each["before"] for each in told["dependencies"]["changes"]] == ["2.0", ""]


def test_the_page_shows_it_and_the_other_way_round_is_the_mirror(
    pair: tuple[ModelVersion, ModelVersion], client_for: Browser
) -> None:
    older, newer = pair
    client = client_for("layla")
    shown = client.get(f"/models/credit-scoring/{newer.number}/diff?with={older.number}").content.decode()
    for words in ("1 metric better", "another version of cards", f"only {newer.label}", "dropped"):
        assert words in shown
    assert "1 metric worse, 1 metric changed" in differences.compare(older, newer).conclusion


def test_without_a_choice_it_is_the_version_before(catalogue: Catalogue, client_for: Browser) -> None:
    client = client_for("layla")
    assert "credit-scoring/2 against credit-scoring/1" in client.get("/models/credit-scoring/2/diff").content.decode()
    assert "credit-scoring/1 against credit-scoring/2" in client.get("/models/credit-scoring/1/diff").content.decode()


def test_unknown_is_not_the_same(catalogue: Catalogue) -> None:
    bare = versions.register_version(catalogue.first.model, digest=Catalogue.digest(30), trained_by=["yusuf"], by=BY)
    found = differences.compare(bare, catalogue.second)
    assert found.conclusion == (
        "credit-scoring/3 against credit-scoring/2: no metric that both have; data sets unknown; parameters unknown; "
        "features unknown; dependencies unknown."
    )
    assert found.data_unknown == ("credit-scoring/3",)
    assert found.parameters.unknown == ("credit-scoring/2", "credit-scoring/3")


def test_versions_that_are_alike_are_said_to_be(catalogue: Catalogue) -> None:
    same: dict[str, Any] = {
        "params": {"depth": "4"},
        "metrics": {"auc": "0.8"},
        "schema": {"inputs": [{"name": "age", "type": "long"}]},
        "dependencies": [],
    }
    found = differences.compare(trained(catalogue, 41, **dict(same)), trained(catalogue, 40, **dict(same)))
    assert found.conclusion.endswith(
        "the same metrics; the same data sets; the same parameters; the same features; the same dependencies."
    )


def test_another_model_may_be_the_other_side(catalogue: Catalogue, client_for: Browser, api_for: Api) -> None:
    other = versions.register_model(
        "fraud", title="Fraud", owner="x", purpose="Flags.", risk="limited", risk_reason="Assessed.", by=BY
    )
    version = trained(catalogue, 50, model=other)
    shown = client_for("layla").get("/models/credit-scoring/2/diff?with=fraud/1")
    assert "credit-scoring/2 against fraud/1" in shown.content.decode()
    told = api_for("ci").get("/api/v1/models/fraud/versions/1/diff?with=version:credit-scoring/2").json()
    assert told["with"] == "version:credit-scoring/2"
    assert told["data"]["changes"][0]["standing"] == "same"
    answer = client_for("layla").get("/models/fraud/1/diff")
    assert answer.status_code == 404
    assert f"{version.label} is the only version of its model" in answer.content.decode()


@pytest.mark.parametrize(("asked", "status"), [("", 400), ("x", 400), ("99", 404), ("nobody/1", 404), ("/", 400)])
def test_a_version_that_does_not_exist_is_said(
    catalogue: Catalogue, api_for: Api, client_for: Browser, asked: str, status: int
) -> None:
    assert api_for("ci").get(f"/api/v1/models/credit-scoring/versions/2/diff?with={asked}").status_code == status
    if asked:
        assert client_for("noor").get(f"/models/credit-scoring/2/diff?with={asked}").status_code == status
