"""Rows per second of one job with two worker processes against one, on an endpoint with two server workers and 20 ms of
injected latency. The results must be the same bytes.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from config.stack.state import free_port
from tests.benchmarks import _adult, _explaining
from tests.benchmarks._explaining_jobs import stack

GOAL = 1.7
ROWS, ROUNDS = 160, 2
#: Rows of one request at most: a gateway's limit, which makes the latency count.
LARGEST_BATCH = 500


@contextmanager
def slow_model(log: Path) -> Iterator[str]:
    """Its address."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tests.benchmarks._slow_model:app", "--workers", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--log-level", "warning"],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            for _ in range(300):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


def rows_per_second(job: dict[str, Any]) -> float:
    """Explained rows over the time between start and end, as the job's own record has them."""
    began, ended = (datetime.fromisoformat(job[name]) for name in ("started", "ended"))
    return ROWS / (ended - began).total_seconds()


def main() -> None:
    """One worker, then two, then again."""
    census = _adult.census()[0].to_numpy()
    picked = np.random.default_rng(3).choice(len(census), ROWS + _adult.BACKGROUND, replace=False)
    asked = _explaining.inquiry(census[picked[:ROWS]], census[picked[ROWS:]])
    found: dict[int, list[float]] = {1: [], 2: []}
    digests = set()
    with tempfile.TemporaryDirectory() as folder, slow_model(Path(folder) / "model.log") as url:
        called = {"url": url, "protocol": "mlflow", "concurrency": 12, "options": {"largest_batch": LARGEST_BATCH}}
        with stack(Path(folder), {"slow": called}) as running:
            for _ in range(ROUNDS):
                for count, speeds in found.items():
                    with running.workers(count):
                        running.ask(asked, "slow")
                        job = running.ask(asked, "slow")
                    speeds.append(rows_per_second(job))
                    digests.add(job["receipt"]["digests"]["results"])
                    print(f"{count} worker processes: {speeds[-1]:.1f} rows a second", flush=True)
    print(f"the results are the same bytes: {'yes' if len(digests) == 1 else 'NO'}")
    print(f"explain_scale ratio={statistics.median(found[2]) / statistics.median(found[1]):.2f} goal={GOAL}")


if __name__ == "__main__":
    main()
