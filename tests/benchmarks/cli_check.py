"""``countersign check`` as a process, against a Python with ``http.client`` as a process plus the server's time."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.benchmarks._gate import QUESTION, ROOT, served_bank

GOAL = 2.5
ROUNDS = 60


def milliseconds(run: Callable[[], object]) -> float:
    """One call's time."""
    begin = time.perf_counter()
    run()
    return (time.perf_counter() - begin) * 1000


def main() -> None:
    """Alternate the three and compare medians."""
    with tempfile.TemporaryDirectory() as folder, served_bank(Path(folder), workers=1) as (url, token):
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "cli")}
        environment |= {"COUNTERSIGN_URL": url, "COUNTERSIGN_TOKEN": token}
        check = [sys.executable, "-m", "countersign", "check", "--model", "credit-scoring", "--version", "14"]
        check += ["--environment", "prod-uae"]
        bare = [sys.executable, "-c", "import http.client"]
        client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30)

        def asked() -> None:
            assert client.post("/api/v1/gate/checks", json=QUESTION).status_code == 200

        def process(command: list[str], code: int) -> None:
            done = subprocess.run(command, env=environment, capture_output=True, check=False)
            assert done.returncode == code, done.stderr

        times: dict[str, list[float]] = {"cli": [], "python": [], "server": []}
        for number in range(ROUNDS):
            found = {
                "cli": milliseconds(lambda: process(check, 0)),
                "python": milliseconds(lambda: process(bare, 0)),
                "server": milliseconds(asked),
            }
            for name, value in found.items():
                if number >= ROUNDS // 10:
                    times[name].append(value)
    middle = {name: statistics.median(values) for name, values in times.items()}
    print(", ".join(f"{name} {value:.1f} ms" for name, value in middle.items()))
    print(f"cli_check ratio={middle['cli'] / (middle['python'] + middle['server']):.2f} goal={GOAL:g}")


if __name__ == "__main__":
    main()
