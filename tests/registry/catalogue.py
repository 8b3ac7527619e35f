"""A small registry that the tests of pages and API read."""

from __future__ import annotations

from dataclasses import dataclass

from audit.actors import Actor
from registry import datasets, deployments, environments, versions
from registry.lineage import edges
from registry.models import Dataset, Environment, ModelVersion, Run

BY = Actor.system("tests")


@dataclass(frozen=True)
class Catalogue:
    """``first`` serves in ``uae``; ``second`` came from ``run``, which read ``loans``, and serves nowhere."""

    first: ModelVersion
    second: ModelVersion
    loans: Dataset
    run: Run
    uae: Environment

    @staticmethod
    def digest(number: int) -> str:
        """A digest that no other number has."""
        return f"sha256:{number:064x}"


def build() -> Catalogue:
    """The registry with one model, two versions, their data, and one environment."""
    model = versions.register_model(
        "credit-scoring",
        title="Credit scoring",
        owner="risk",
        purpose="Scores",
        risk="high",
        risk_reason="Creditworthiness of natural persons.",
        by=BY,
    )
    loans = datasets.register_dataset(
        "loans", classification="personal", subjects=["AE"], regions_held=["azure:uaenorth"], by=BY
    )
    run = edges.register_run(
        "run-412",
        tracking_server="https://mlflow.example",
        contributors=["yusuf"],
        name="train #412",
        metrics={},
        by=BY,
    )
    first = versions.register_version(model, digest=Catalogue.digest(1), trained_by=["yusuf"], by=BY)
    second = versions.register_version(model, digest=Catalogue.digest(2), trained_by=["yusuf"], run_id="run-412", by=BY)
    edges.record_edge(loans, run, by=BY)
    edges.record_edge(run, second, by=BY)
    edges.record_edge(loans, first, by=BY)
    uae = environments.register_environment(
        "prod-uae",
        name="Production, UAE North",
        tier="prod",
        regions_served=["azure:uaenorth"],
        perimeter="AE-federal",
        log_sinks=["azure:uaenorth"],
        backups=[],
        support_access=[],
        explanation_workers=[],
        by=BY,
    )
    deployments.record_deploy(uae, first, by=BY)
    return Catalogue(first, second, loans, run, uae)
