"""The downstream closure of one data set in a graph of 1,000,000 edges: over the API against networkx in memory.

The graph has the shape of a company's lineage over years: 100,000 data sets, a tenth of them raw, the others derived
from one to three earlier ones, mostly recent ones; 300,000 runs that read one to three data sets and each produce a
version of one of 3,000 models; a tenth of the versions tuned from the one before; 20,000 deployments of versions. So it
is sparse (2.5 edges a run), some dozens of steps deep, and an early raw data set reaches much of it: of eight raw data
sets the one that reaches most is asked about, which is what an incident is about and where the work is largest.

The API answers over HTTP with one worker process, from PostgreSQL as it is shipped, every name in the body; networkx
holds the same edges as a ``DiGraph`` of the same names and answers ``nx.descendants``. Both sides run alternately and
medians are compared. The bare recursive SQL, its rows fetched by psycopg, is printed beside them. Edges are loaded
past the triggers, on a throw-away server.
"""

# ruff: noqa: I001  (Django is set up before the application is imported)

from __future__ import annotations

import base64
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import networkx as nx
import psycopg

from tests.benchmarks import _server  # first: it sets Django up

from django.conf import settings

from config.stack.state import free_port
from registry.lineage import reach
from tests import personas
from tests.stack import eventually

GOAL = 5.0
EDGES = int(os.environ.get("LINEAGE_CLOSURE_EDGES", "1000000"))
ROUNDS = 5
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64
DATA_SETS, RUNS, MODELS, DEPLOYMENTS = EDGES // 10, 3 * EDGES // 10, EDGES // 333, EDGES // 50
RAW = DATA_SETS // 10

Edge = tuple[str, str, str]


def version_of(run: int) -> str:
    """The version that a run produced: the models take turns."""
    return f"version:model-{run % MODELS:04d}/{run // MODELS + 1}"


def made(dice: random.Random) -> list[Edge]:
    """``EDGES`` different edges."""
    found: dict[Edge, None] = {}
    for number in range(RAW, DATA_SETS):
        for _ in range(dice.randint(1, 3)):
            recent = dice.random() < 0.8
            source = dice.randrange(max(0, number - 2000), number) if recent else dice.randrange(number)
            found[f"dataset:set-{source:06d}", f"dataset:set-{number:06d}", "derived"] = None
    for run in range(RUNS):
        found[f"run:{run:032x}", version_of(run), "output"] = None
        if run >= MODELS and dice.random() < 0.1:
            found[version_of(run - MODELS), version_of(run), "tuned"] = None
    while len(found) < EDGES:
        run = dice.randrange(RUNS)
        near = run * DATA_SETS // RUNS  # what was new when the run ran
        data_set = dice.randrange(max(0, near - 2000), near + 1)
        found[f"dataset:set-{data_set:06d}", f"run:{run:032x}", "input"] = None
    return list(found)[:EDGES]


def load(bench: _server.Bench, edges: list[Edge], dice: random.Random) -> None:
    """Edges, models, versions and deployments, by COPY and past the triggers."""
    with psycopg.connect(bench.admin_url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        with cursor.copy("COPY registry_lineageedge (source, target, kind, created) FROM STDIN") as copy:
            for edge in edges:
                copy.write_row((*edge, BEGAN))
        columns = "id, name, title, owner, purpose, risk, risk_reason, created"
        with cursor.copy(f"COPY registry_model ({columns}) FROM STDIN") as copy:
            for number in range(MODELS):
                copy.write_row((number + 1, f"model-{number:04d}", "M", "o", "p", "high", "r", BEGAN))
        columns = "id, model_id, number, digest, run_id, tracking_server, trained_by, metrics, schema, source_uri"
        with cursor.copy(f"COPY registry_modelversion ({columns}, created) FROM STDIN") as copy:
            for run in range(RUNS):
                row = (run + 1, run % MODELS + 1, run // MODELS + 1, DIGEST, f"{run:032x}", "", '["x"]')
                copy.write_row((*row, "{}", "{}", "", BEGAN))
        cursor.execute(
            "INSERT INTO registry_environment (id, slug, name, tier, regions, perimeter, log_sinks, created) VALUES"
            " (1, 'prod-uae', 'UAE', 'prod', '{azure:uaenorth}', 'AE-federal', '{azure:uaenorth}', now())"
        )
        columns = "environment_id, model_id, version_id, kind, strategy, weight, digest, decision_id, permit_id,"
        columns += " actor_id, since, until, reason, incident, id"
        with cursor.copy(f"COPY registry_deployment ({columns}) FROM STDIN") as copy:
            for number, run in enumerate(dice.sample(range(RUNS), DEPLOYMENTS), start=1):
                row = (1, run % MODELS + 1, run + 1, "deploy", "all_at_once", 100, DIGEST, "", "", "user:x")
                copy.write_row((*row, BEGAN, BEGAN, "", "", number))
    bench.execute("VACUUM ANALYZE")


def graph_of(bench: _server.Bench, edges: list[Edge]) -> Any:
    """The same edges in memory, deployments included."""
    graph = nx.DiGraph()
    graph.add_edges_from((source, target) for source, target, _kind in edges)
    with psycopg.connect(bench.admin_url) as connection:
        rows = connection.execute("SELECT version_id, id FROM registry_deployment").fetchall()
    graph.add_edges_from((version_of(version - 1), f"deployment:{number}") for version, number in rows)
    return graph


@contextmanager
def served(bench: _server.Bench) -> Iterator[str]:
    """The application behind granian with one worker, as the stack runs it."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "COUNTERSIGN"))}
    environment |= {
        "COUNTERSIGN_STATE": tempfile.gettempdir(),
        "DATABASE_URL": bench.url(),
        "SUBJECT_KEYS_DATABASE_URL": str(settings.SUBJECT_KEYS_DATABASE_URL),
        "SECRET_KEY": "benchmarks-only-" + "x" * 50,
        "ATTESTATION_KEY": base64.b64encode(os.urandom(32)).decode(),
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "PUBLIC_URL": "http://127.0.0.1",
        "ALLOWED_HOSTS": "127.0.0.1",
    }
    command = [str(Path(sys.executable).parent / "granian"), "--interface", "wsgi", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--no-access-log", "config.wsgi:application"]
    server = subprocess.Popen(command, env=environment)
    try:
        address = f"http://127.0.0.1:{port}"
        eventually(lambda: httpx.get(f"{address}/healthz", timeout=5).status_code == 200, seconds=60)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """How long a call takes, and what it gives."""
    begin = time.perf_counter()
    found = call()
    return time.perf_counter() - begin, found


def main() -> None:
    """Load, choose the root, alternate."""
    dice = random.Random(4)
    edges = made(dice)
    with _server.migrated_server("max_wal_size=4GB") as bench:
        took, _none = seconds(lambda: load(bench, edges, dice))
        print(f"{len(edges):,} edges loaded in {took:.0f} s", flush=True)
        graph = graph_of(bench, edges)
        raw = [f"dataset:set-{number:06d}" for number in dice.sample(range(RAW), min(8, RAW))]
        root = max((node for node in raw if node in graph), key=lambda node: len(nx.descendants(graph, node)))
        token = personas.token_of("ci")
        with served(bench) as address:
            ours, theirs, bare = _alternate(address, token, bench, graph, root)
    print(
        f"API {ours:.3f} s; networkx {theirs:.3f} s; bare recursive SQL {bare:.3f} s, {bare / theirs:.2f} of networkx"
    )
    print(f"lineage_closure ratio={ours / theirs:.2f} goal={GOAL:g}")


def _alternate(address: str, token: str, bench: _server.Bench, graph: Any, root: str) -> tuple[float, float, float]:
    """Medians in seconds of the API, of networkx and of the statement alone."""
    times: dict[str, list[float]] = {"api": [], "networkx": [], "sql": []}
    client = httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=120)
    asked = {"focus": root, "direction": "downstream"}
    with psycopg.connect(bench.url()) as connection:
        statement = reach.nodes_statement("downstream")
        for number in range(ROUNDS + 1):
            api, answer = seconds(lambda: client.get(f"{address}/api/v1/lineage/closure", params=asked))
            memory, wanted = seconds(lambda: nx.descendants(graph, root))
            sql, rows = seconds(lambda: connection.execute(statement, {"reached": [root]}).fetchall())
            assert set(answer.json()["nodes"]) == wanted, answer.text[:300]
            assert len(rows) <= len(wanted) + 1
            print(f"API {api:.2f} s, networkx {memory:.2f} s, bare SQL {sql:.2f} s", flush=True)
            if number:  # the first warms both up
                times["api"].append(api)
                times["networkx"].append(memory)
                times["sql"].append(sql)
    print(
        f"{root} reaches {len(wanted):,} subjects by {graph.subgraph({root, *wanted}).number_of_edges():,} edges;"
        f" the answer has {len(answer.content) / 1e6:.1f} MB",
        flush=True,
    )
    return statistics.median(times["api"]), statistics.median(times["networkx"]), statistics.median(times["sql"])


if __name__ == "__main__":
    main()
