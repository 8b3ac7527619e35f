"""Asking an MLflow server of 2,000 versions for what is new, when nothing is, against one full import of them."""

from __future__ import annotations

import statistics
import time

from tests.benchmarks._server import migrated_server  # sets Django up, so it comes first

# isort: split
from django.conf import settings

from audit.actors import Actor
from registry.sources import mlflow
from tests.benchmarks._many_models import VERSIONS, many_models

GOAL = 0.03
ROUNDS = 5
BY = Actor.system("mlflow-import")


def seconds(versions: int, unchanged: int) -> float:
    """Seconds of one import that must write ``versions`` and know ``unchanged``."""
    begin = time.perf_counter()
    summary = mlflow.import_all(by=BY)
    assert (summary.versions, summary.unchanged, summary.problems) == (versions, unchanged, [])
    return time.perf_counter() - begin


def main() -> None:
    """One full import, then several that find nothing; their median counts."""
    with many_models() as tracking, migrated_server("max_wal_size=4GB"):
        settings.MLFLOW_TRACKING_URI = tracking.url
        full = seconds(VERSIONS, 0)
        nothing = [seconds(0, VERSIONS) for _ in range(ROUNDS)]
    print(f"full import {full:.1f} s; nothing new: {', '.join(f'{each:.2f} s' for each in nothing)}")
    print(f"mlflow_sync ratio={statistics.median(nothing) / full:.4f} goal={GOAL:g}")


if __name__ == "__main__":
    main()
