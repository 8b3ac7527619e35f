"""The server's own time for the same unique rows in its best batches, over ours: how near the engine is to what the
server can do. The bodies of the limit are made before and its answers are not read.
"""

from __future__ import annotations

import http.client
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np

from explain.serving import bodies as written
from explain.serving.protocol import Table
from tests.benchmarks import _adult, _explaining

GOAL = 0.90
ROUNDS = 5
BATCHES, CONCURRENCY = (5_000, 10_000, 20_000), (1, 2, 3)


def encoded(rows: Table, wire: str) -> bytes:
    """A body as our client writes it."""
    if wire == _explaining.PARQUET:
        return written.parquet(rows)
    return written.dumps({"dataframe_split": {"columns": written.names(rows), "data": written.lists(rows)}})


def limit(url: str, bodies: list[bytes], wire: str, concurrency: int) -> float:
    """Seconds until the server has answered all ``bodies`` with so many connections."""
    parts = urlsplit(url)

    def post(share: list[bytes]) -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        for body in share:
            connection.request("POST", "/invocations", body, {"Content-Type": wire})
            with connection.getresponse() as answer:
                assert answer.status == 200
                answer.read()
        connection.close()

    with ThreadPoolExecutor(concurrency) as pool:
        began = time.perf_counter()
        list(pool.map(post, [bodies[i::concurrency] for i in range(concurrency)]))
        return time.perf_counter() - began


def one(url: str, wire: str) -> float:
    """The ratio in one wire format."""
    rows, background = _adult.question()
    asked = _explaining.inquiry(rows, background)
    made = _explaining.ours(url, asked, wire, keep=True)
    whole = Table(
        made.tables[0].columns,
        [np.concatenate([table.cells[j] for table in made.tables]) for j in range(len(made.tables[0].cells))],
    )
    bodies = {
        batch: [encoded(whole.take(slice(i, i + batch)), wire) for i in range(0, len(whole), batch)]
        for batch in BATCHES
    }
    settings = [(batch, concurrency) for batch in BATCHES for concurrency in CONCURRENCY]
    tried = {each: limit(url, bodies[each[0]], wire, each[1]) for each in settings}
    best = sorted(tried, key=lambda each: tried[each])[:3]
    server, engine = [], []
    for _ in range(ROUNDS):
        server.append(min(limit(url, bodies[batch], wire, concurrency) for batch, concurrency in best))
        engine.append(_explaining.ours(url, asked, wire).seconds)
    print(
        f"{wire}: {len(whole)} rows, server {1e3 * statistics.median(server) / len(rows):.1f} ms a row at best "
        f"(batch, connections: {best}), ours {1e3 * statistics.median(engine) / len(rows):.1f} ms a row"
    )
    return statistics.median(server) / statistics.median(engine)


def main() -> None:
    """Both formats; the smaller ratio counts."""
    with _explaining.endpoint() as url:
        ratios = {wire: one(url, wire) for wire in (_explaining.JSON, _explaining.PARQUET)}
    for wire, ratio in ratios.items():
        print(f"{wire} {ratio:.2f}")
    print(f"explain_limit ratio={min(ratios.values()):.2f} goal={GOAL}")


if __name__ == "__main__":
    main()
