"""A full gate check over HTTP, recorded, against a bare authenticated view of the same server that reads one row."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from config.stack.state import free_port
from tests.stack import eventually, running_demo

GOAL = 4.0
ROUNDS = 300
CHECK = {"model": {"name": "credit-scoring", "version": "3"}, "environment": "prod-uae", "action": "deploy"}


def milliseconds(call: Callable[[], httpx.Response]) -> float:
    """One call's time; an answer other than 200 ends the benchmark."""
    begin = time.perf_counter()
    answer = call()
    assert answer.status_code == 200, answer.text
    return (time.perf_counter() - begin) * 1000


def main() -> None:
    """Alternate both calls on one keep-alive connection each and compare medians."""
    with running_demo() as stack:
        port = free_port()
        command = [str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--workers", "1", "--no-access-log", "tests.benchmarks._bare:application"]
        server = subprocess.Popen(command, env=stack.environment() | {"PATH": os.environ["PATH"]})
        try:
            headers = {"Authorization": f"Bearer {stack.token}"}
            client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/", headers=headers, timeout=30)
            eventually(lambda: client.post("bare", json={"environment": "prod-uae"}).status_code == 200, seconds=60)
            full, bare = [], []
            for number in range(ROUNDS):
                a = milliseconds(lambda: client.post("gate/checks", json=CHECK))
                b = milliseconds(lambda: client.post("bare", json={"environment": "prod-uae"}))
                if number >= ROUNDS // 10:
                    full.append(a)
                    bare.append(b)
        finally:
            server.terminate()
            server.wait(20)
    print(
        f"full gate check: median {statistics.median(full):.2f} ms; bare view: median {statistics.median(bare):.2f} ms"
    )
    print(f"gate_check ratio={statistics.median(full) / statistics.median(bare):.2f} goal={GOAL:g}")


if __name__ == "__main__":
    main()
