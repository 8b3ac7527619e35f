"""A lineage of three hundred nodes: sources joined into a data set, which many runs read, each with versions."""

from __future__ import annotations

from django.db import transaction

from audit.actors import Actor
from registry import datasets, versions
from registry.lineage import edges

SOURCES, RUNS, BROAD = 12, 120, 16
NODES = SOURCES + 3 + 2 * RUNS + BROAD + BROAD + 13


@transaction.atomic
def build(by: Actor) -> None:
    """Rows and edges through the product's own functions; each has its entry."""
    joined = _dataset("applications", by)
    cleaned, scored = _dataset("applications-cleaned", by), _dataset("reference-scores", by)
    for number in range(SOURCES):
        edges.record_edge(_dataset(f"source-{number:02d}", by), joined, by=by)
    edges.record_edge(joined, cleaned, by=by)
    edges.record_edge(joined, scored, by=by)
    edges.record_edge(scored, cleaned, by=by)
    for number in range(RUNS):
        _train(number, [joined], 1, by)
    for number in range(RUNS, RUNS + BROAD):
        _train(number, [joined, cleaned], 1, by)
    last = _dataset("monitored", by)
    edges.record_edge(cleaned, last, by=by)
    for number in range(12):
        edges.record_edge(last, _dataset(f"report-{number:02d}", by), by=by)


def _dataset(name: str, by: Actor) -> datasets.Dataset:
    return datasets.register_dataset(
        name, classification="personal", subjects=["AE"], regions_held=["azure:uaenorth"], by=by
    )


def _train(number: int, read: list[datasets.Dataset], made: int, by: Actor) -> None:
    run = edges.register_run(f"train-{number:03d}", tracking_server="", contributors=["yusuf"], by=by)
    for each in read:
        edges.record_edge(each, run, by=by)
    model = versions.register_model(
        f"scoring-{number:03d}", title="x", owner="x", purpose="x", risk="high", risk_reason="x", by=by
    )
    for version in range(made):
        digest = f"sha256:{number:032x}{version:032x}"
        made_version = versions.register_version(model, digest=digest, trained_by=["yusuf"], by=by)
        edges.record_edge(run, made_version, by=by)
