"""Gate checks per second of two web workers: 32 clients at once against one client.

Each client asks about a model of its own, as pipelines do: checks of one promotion are decided
one after the other, because each may settle it. The one client asks about them in turn.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path

import httpx

from tests.benchmarks._gate import question, served_bank

GOAL = 1.6
CLIENTS = 32
ROUNDS = 5
SECONDS = 4.0


def checks_per_second(url: str, token: str, clients: int) -> float:
    """Each client asks one check after the other on a connection of its own, until the time is over."""
    counts = [0] * clients
    failed: list[str] = []
    start = threading.Barrier(clients + 1)
    ends = 0.0

    def ask(number: int) -> None:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            client.get("/healthz")
            start.wait()
            while time.perf_counter() < ends:
                asked = number if clients > 1 else counts[number] % CLIENTS
                answer = client.post("/api/v1/gate/checks", json=question(asked))
                if answer.status_code != 200 or answer.json()["decision"] != "allow":
                    failed.append(answer.text)
                    return
                counts[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    ends = time.perf_counter() + SECONDS + 0.5
    start.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    assert not failed, failed[0][:2000]
    return sum(counts) / (time.perf_counter() - begin)


def main() -> None:
    """Alternate both loads and compare medians."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served_bank(Path(folder), workers=2, candidates=CLIENTS) as (url, token),
    ):
        checks_per_second(url, token, 4)
        one, many = [], []
        for _ in range(ROUNDS):
            one.append(checks_per_second(url, token, 1))
            many.append(checks_per_second(url, token, CLIENTS))
    a, b = statistics.median(one), statistics.median(many)
    print(f"1 client: {a:.1f} checks per second; {CLIENTS} clients: {b:.1f}")
    print(f"gate_load ratio={b / a:.2f} goal={GOAL:g}")


if __name__ == "__main__":
    main()
