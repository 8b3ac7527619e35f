"""A safeguard ends: 1,000 running deployments are decided again together, against each alone, one after the other.

Fifty models with twenty versions each, every version of which learned from 25 data sets (two of its model's own, the
others of a common pool of 200) by way of a run, serve in twenty environments in Frankfurt; one safeguard covers these
environments and another the data. Both sides ask the same engine the same question, ``decisions.evaluate`` without
sign-offs, about the same 1,000 deployments, and must give the same answers: allowed before the end of the safeguard,
denied after it. ``alone`` collects each case's facts by itself, as a gate check does. ``together`` is
``rechecks.judge``, with what it reads for all. Only the second is measured at the end of the safeguard as well, with
everything that follows: a finding for each deployment, its entries, and the order to halt.

Rows are made by the functions that people use, on a throw-away server; what serves is recorded past the gate, and the
edges are loaded past the triggers.
``RESIDENCY_RECHECK_DEPLOYMENTS=100`` tries it with fewer.
"""

# ruff: noqa: I001  (Django is set up before the application is imported)

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import psycopg

from tests.benchmarks import _server  # first: it sets Django up

from django.db import transaction
from django.utils import timezone

from governance import decisions, packs, rechecks, transfers
from governance.facts import Case
from governance.models.decision import Action
from registry import datasets, deployments, environments, versions
from registry.lineage import edges
from registry.lineage.graph import Edge
from registry.models import Deployment, Environment, Finding
from tests import personas
from tests.governance.scene import ASSESSMENT, SET_UP, digest_of

GOAL = 0.5
DEPLOYMENTS = int(os.environ.get("RESIDENCY_RECHECK_DEPLOYMENTS", "1000"))
ROUNDS = 3
PLACES, POOL, IN_CLOSURE = 20, 200, 25
REGION = "azure:germanywestcentral"
T = TypeVar("T")


def seconds(call: Callable[[], T]) -> tuple[float, T]:
    """How long a call takes, and what it gives."""
    begin = time.perf_counter()
    found = call()
    return time.perf_counter() - begin, found


def load(bench: _server.Bench, wanted: list[Edge]) -> None:
    """The edges by COPY, past the triggers."""
    with psycopg.connect(bench.admin_url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        with cursor.copy("COPY registry_lineageedge (source, target, kind, created) FROM STDIN") as copy:
            for edge in wanted:
                copy.write_row((edge.source, edge.target, edge.kind, timezone.now()))


@transaction.atomic
def made() -> list[Edge]:
    """Everything that serves, and the safeguards that make it lawful; gives the edges that are still to be loaded."""
    packs.load_shipped()
    pool = [data_set(f"pool-{number:03d}") for number in range(POOL)]
    places = [place(number) for number in range(PLACES)]
    wanted: list[Edge] = []
    for number in range(-(-DEPLOYMENTS // PLACES)):
        wanted += one_model(number, places, pool)
    cover("TS-places", [each.subject for each in places])
    cover("TS-data", pool)
    return wanted


def data_set(name: str) -> str:
    """Personal data of people in the Kingdom, who are in Frankfurt already; its subject."""
    return datasets.register_dataset(
        name, classification="personal", subjects=["SA"], regions_held=[REGION], confirmed=True, by=SET_UP
    ).subject


def place(number: int) -> Environment:
    """An environment in Frankfurt."""
    return environments.register_environment(
        f"frankfurt-{number:02d}",
        name=f"Frankfurt {number}",
        tier="prod",
        regions_served=[REGION],
        perimeter="EU",
        log_sinks=[REGION],
        backups=[],
        support_access=[],
        explanation_workers=[],
        by=SET_UP,
    )


def one_model(number: int, places: list[Environment], pool: list[str]) -> list[Edge]:
    """A model with a version for each place, which serves there; the edges of its lineage."""
    model = versions.register_model(
        f"model-{number:03d}", title="M", owner="risk", purpose="p", risk="high", risk_reason="r", by=SET_UP
    )
    found = []
    for index, where in enumerate(places[: DEPLOYMENTS - number * PLACES]):
        digest = digest_of(f"{number}/{index}")
        run = edges.register_run(
            f"run-{number}-{index}", tracking_server="https://mlflow.example", contributors=["yusuf"], by=SET_UP
        )
        version = versions.register_version(
            model, digest=digest, trained_by=["yusuf"], number=index + 1, run_id=run.run_id, by=SET_UP
        )
        learned = [pool[(7 * number + 3 * index + step) % POOL] for step in range(IN_CLOSURE)]
        found += [Edge(each, run.subject, "input") for each in learned] + [Edge(run.subject, version.subject, "output")]
        deployments.record_deploy(where, version, by=SET_UP)
    return found


def cover(reference: str, subjects: list[str]) -> None:
    """A safeguard for a year, by two people."""
    transfers.record(
        reference,
        type="SCC",
        law="SA",
        document="Standard clauses",
        subjects=subjects,
        regions=[REGION],
        expires_at=timezone.now() + timedelta(days=365),
        risk_assessment_at=timezone.now(),
        assessment=ASSESSMENT,
        by=personas.get("dana").actor,
    )
    transfers.approve(reference, by=personas.get("omar").actor)


def alone(rows: list[Deployment]) -> list[bool]:
    """Each decided by itself, one after the other."""
    found = []
    for row in rows:
        plan = {"strategy": row.strategy, "weight": row.weight}
        case = Case(row.version, row.environment, Action.RUN, plan, rechecks.CLOCK.id)
        found.append(decisions.evaluate(case, needs_signoffs=False).outcome == "allow")
    return found


def together(rows: list[Deployment]) -> list[bool]:
    """All decided with what they share read once."""
    return [each.lawful for each in rechecks.judge(rows, rechecks.read(rows))]


def compared(lawful: bool) -> tuple[float, float]:
    """Medians in seconds of both sides, which alternate and must agree."""
    times: dict[str, list[float]] = {"alone": [], "together": []}
    rows = rechecks.serving()
    assert len(rows) == DEPLOYMENTS, len(rows)
    for number in range(ROUNDS + 1):
        each: Any
        one, answers = seconds(lambda: alone(rows))
        all_, each = seconds(lambda: together(rows))
        assert answers == each == [lawful] * DEPLOYMENTS
        print(f"alone {one:.2f} s, together {all_:.2f} s", flush=True)
        if number:  # the first warms both up
            times["alone"].append(one)
            times["together"].append(all_)
    return statistics.median(times["alone"]), statistics.median(times["together"])


def main() -> None:
    """Make the world, compare while the safeguard counts, end it, compare again and follow it up."""
    with _server.migrated_server() as bench:
        for name in ("dana", "omar", "yusuf"):
            personas.get(name)
        took, wanted = seconds(made)
        load(bench, wanted)
        bench.execute("VACUUM ANALYZE")
        print(f"{DEPLOYMENTS:,} deployments recorded in {took:.0f} s", flush=True)
        before = compared(lawful=True)
        transfers.revoke("TS-places", reason="The importer was sold.", by=personas.get("dana").actor)
        after = compared(lawful=False)
        whole, ended = seconds(rechecks.follow_up)
        assert ended == ["TS-places"]
        assert Finding.objects.unlawful().values("concerns").distinct().count() == DEPLOYMENTS
        again, _settled = seconds(rechecks.recheck)
    print(f"lawful: {before[1] / before[0]:.2f} of alone; no longer lawful: {after[1] / after[0]:.2f} of alone")
    print(
        f"followed up with {DEPLOYMENTS:,} deployments' findings and entries in {whole:.1f} s; once more {again:.1f} s"
    )
    print(f"residency_recheck ratio={after[1] / after[0]:.2f} goal={GOAL:g}")


if __name__ == "__main__":
    main()
