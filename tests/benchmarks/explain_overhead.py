"""A whole job of 200 rows (asked over the API, probed, done by a Celery worker, checked by its canary rows, kept in
PostgreSQL, receipted and recorded in the log) over the bare engine on the same rows at the same real MLflow server.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.benchmarks import _adult, _explaining
from tests.benchmarks._explaining_jobs import stack

GOAL = 1.15
ROWS, ROUNDS = 200, 3


def main() -> None:
    """Both sides in turns; the worker has done one job before, as workers have."""
    census = _adult.census()[0].to_numpy()
    picked = np.random.default_rng(3).choice(len(census), ROWS + _adult.BACKGROUND, replace=False)
    asked = _explaining.inquiry(census[picked[:ROWS]], census[picked[ROWS:]])
    whole, bare = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        _explaining.endpoint() as url,
        stack(Path(folder), {"adult": {"url": url, "protocol": "mlflow", "concurrency": 3}}) as running,
        running.workers(1),
    ):
        running.ask(asked, "adult")
        for _ in range(ROUNDS):
            began = time.perf_counter()
            job = running.ask(asked, "adult")
            whole.append(time.perf_counter() - began)
            wire = job["receipt"]["probe"]["wire"]
            bare.append(_explaining.ours(url, asked, wire).seconds)
            print(f"{wire}: job {whole[-1]:.2f} s, engine {bare[-1]:.2f} s", flush=True)
    print(f"explain_overhead ratio={statistics.median(whole) / statistics.median(bare):.2f} goal={GOAL}")


if __name__ == "__main__":
    main()
