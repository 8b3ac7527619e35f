"""Events per second over HTTP with one worker process, against a view that only parses and stores the raw JSON.

The ratio is of what a producer waits for: an event is read, checked, kept with its digest, and answered. Applying it to
the lineage (data sets, runs, edges, an entry each) happens after the answer; its rate is printed, by itself and while
events keep coming. Every run is new: a START and a COMPLETE with two tables in and one out, one of them in place.
"""

from __future__ import annotations

import base64
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from tests.benchmarks._server import Bench, migrated_server  # isort: skip  (it prepares Django)

import httpx
import orjson
from django.db import connections

from config.stack import database
from config.stack.state import free_port
from governance import accounts, tokens
from registry.models import LineageEdge, OpenLineageOutcome, Run
from registry.sources import openlineage
from tests.registry.openlineage import run_event
from tests.registry.site import SCOPES

GOAL = 0.5
ROUNDS = int(os.environ.get("OPENLINEAGE_ROUNDS", "10"))
EVENTS = 150
LATER = 300


def events(first: int, count: int) -> list[bytes]:
    """START and COMPLETE in turn, with facets of the usual size, over 200 tables."""
    schema = {"fields": [{"name": f"column_{number}", "type": "VARCHAR"} for number in range(20)]}
    made = []
    for number in range(first, first + count):
        run, table = number // 2, f"marts.table_{number // 2 % 200}"
        event = run_event(run, ("START", "COMPLETE")[number % 2], (f"raw.table_{run % 50}", table), (table,))
        event["run"]["runId"] = str(UUID(int=run + 2**64))
        for each in event["inputs"] + event["outputs"]:
            each["facets"]["schema"] = schema
        made.append(orjson.dumps(event))
    return made


def rate(client: httpx.Client, path: str, bodies: list[bytes]) -> float:
    """Events per second on one keep-alive connection."""
    headers = {"Content-Type": "application/json"}
    begin = time.perf_counter()
    for body in bodies:
        answer = client.post(path, content=body, headers=headers)
        assert answer.status_code == 200, answer.text
    return len(bodies) / (time.perf_counter() - begin)


def served(bench: Bench, port: int) -> subprocess.Popen[bytes]:
    """One worker process of the product's server with the bare view beside it."""
    command = [str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--no-access-log", "tests.benchmarks._bare_lineage:application"]
    variables = {
        "SECRET_KEY": secrets.token_urlsafe(60),
        "ATTESTATION_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "DATABASE_URL": bench.url(),
        "SUBJECT_KEYS_DATABASE_URL": bench.server.url(database.KEYS, "bench_keys"),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",  # nobody applies while the two sides are compared
    }
    kept = {name: value for name, value in os.environ.items() if name not in ("COUNTERSIGN_OFFLINE", "ALLOWED_HOSTS")}
    return subprocess.Popen(command, env=kept | variables)


def applied() -> float:
    """Events per second from waiting to in the lineage."""
    begin = time.perf_counter()
    count = openlineage.apply_waiting()
    return count / (time.perf_counter() - begin)


def both(client: httpx.Client, bodies: list[bytes]) -> tuple[float, float]:
    """Events per second, taken in and applied, while one process does each at the same time."""
    done = threading.Event()

    def apply() -> None:
        while not done.is_set():
            openlineage.apply_waiting()
            time.sleep(0.02)
        connections.close_all()

    before = OpenLineageOutcome.objects.filter(state="applied").count()
    worker = threading.Thread(target=apply)
    begin = time.perf_counter()
    worker.start()
    taken = rate(client, "lineage", bodies)
    seconds = time.perf_counter() - begin
    during = (OpenLineageOutcome.objects.filter(state="applied").count() - before) / seconds
    done.set()
    worker.join()
    return taken, during


def main() -> None:
    """Alternate both sides on one connection and compare the medians of their rounds."""
    with migrated_server("max_wal_size=4GB") as bench:
        bench.execute("CREATE TABLE bench_event (id bigserial PRIMARY KEY, body jsonb NOT NULL)")
        bench.execute(f"GRANT ALL ON bench_event TO {database.APP}; GRANT ALL ON bench_event_id_seq TO {database.APP}")
        account = accounts.create_user(
            username="producer",
            display_name="Producer",
            kind="service",
            roles=(),
            scopes=SCOPES,
            password=None,
            by=openlineage.Actor.system("bench"),
        )
        by = openlineage.Actor.system("bench")
        issued = tokens.issue(account, label="bench", scopes=SCOPES, lifetime=timedelta(days=1), by=by)
        port = free_port()
        server = served(bench, port)
        try:
            headers = {"Authorization": f"Bearer {issued.secret}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/", headers=headers, timeout=60) as client:
                ours, bare = compared(client)
                ratio = statistics.median(ours) / statistics.median(bare)
                print(f"taken in: {statistics.median(ours):.0f} events/s; stored bare: {statistics.median(bare):.0f}")
                alone = applied()
                print(f"applied afterwards by one process: {alone:.0f} events/s")
                taken, during = both(client, events(10**6, LATER))
        finally:
            server.terminate()
            server.wait(20)
        openlineage.apply_waiting()
        runs, edges = Run.objects.count(), LineageEdge.objects.count()
        left = OpenLineageOutcome.objects.exclude(state="applied").count()
    print(f"in the end {runs} runs and {edges} edges, {left} events not applied")
    print(f"both at once on this machine: {taken:.0f} events/s taken in, {during:.0f} applied in the same seconds")
    print(f"openlineage_ingest ratio={ratio:.2f} goal={GOAL:g}")


def compared(client: httpx.Client) -> tuple[list[float], list[float]]:
    """Rates of each round, ours and the bare view's, after one round to warm up."""
    for _try in range(300):
        try:
            client.post("bare", content=b"{}")
            break
        except httpx.HTTPError:
            time.sleep(0.2)
    ours, bare = [], []
    for number in range(ROUNDS + 1):
        bodies = events(number * EVENTS, EVENTS)
        pair = (rate(client, "bare", bodies), rate(client, "lineage", bodies))
        if number:
            bare.append(pair[0])
            ours.append(pair[1])
    return ours, bare


if __name__ == "__main__":
    main()
