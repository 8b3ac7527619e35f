"""The Log page of a log with 1,000,000 entries against the same page with 1,000, for every filter, rare ones included.

``AUDIT_PAGE_ENTRIES`` makes it smaller. Rows go in by COPY as the sequencer writes them, on a scratch PostgreSQL.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import time
import uuid
from datetime import UTC, datetime, timedelta

import psycopg

from tests.benchmarks._server import NAME, migrated_server  # isort: skip  (it prepares Django)

from django.db import connection, connections
from django.test import Client
from django.test.utils import setup_test_environment

from config.stack import database
from tests import personas
from tests.conftest import use_database

GOAL = 1.5
SMALL, LARGE = 1_000, int(os.environ.get("AUDIT_PAGE_ENTRIES", "1000000"))
ROUNDS = 15
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = ("decision.recorded", "session.opened", "permit.issued", "promotion.blocked")
MODELS = ("credit-scoring", "churn", "fraud")
LAYLA = "user:00000000-0000-7000-8000-00000000000a"
RARE = "user:00000000-0000-7000-8000-00000000000b"
GONE = "user:00000000-0000-7000-8000-00000000000c"


def told(index: int, total: int) -> dict[str, str]:
    """Who did what to whom in entry ``index``: GONE did the first third, RARE three entries at the beginning."""
    model, place = MODELS[index % 3], ("prod-uae", "staging")[index % 7 == 0]
    actor = RARE if index in (5, 6, 7) else GONE if index < total // 3 else LAYLA
    rare = index % (total // 60) == 11  # some sixty in each log, so that both pages show as many rows
    event = "rollback.recorded" if rare else EVENTS[index % 4]
    if index == 9:
        event = "alias.moved"
    subject = "safeguard:TS-1" if rare else f"promotion:{index % (total // 200)}"
    name = f"version:{model}/{index % 50 + 1}"
    return {"actor": actor, "event": event, "subject": subject, "version": name, "place": place}


def load(url: str, total: int) -> None:
    """Entries, leaves and the read model, in the shape that the sequencer gives them, and one checkpoint."""
    space = uuid.UUID(int=total)
    with psycopg.connect(url) as own:
        own.execute("SET session_replication_role = replica")
        own.execute("INSERT INTO audit.log (log_id, origin) VALUES (1, 'bench.example/log')")
        with (
            own.cursor() as cursor,
            cursor.copy("COPY audit.entry (log_id, event_id, object_key, entry, created_at) FROM STDIN") as copy,
        ):
            for index in range(total):
                copy.write_row(_entry(space, index, total))
        own.execute(
            "INSERT INTO audit.leaf (log_id, leaf_index, entry_id, leaf_hash)"
            " SELECT log_id, row_number() OVER (ORDER BY id) - 1, id, leaf_hash FROM audit.entry"
        )
        with (
            own.cursor() as cursor,
            cursor.copy(
                "COPY audit.event (log_id, leaf_index, event_id, event, actor_id, subject, object_key, request_id,"
                " occurred_at, model, environment, recorded_at) FROM STDIN"
            ) as copy,
        ):
            for index in range(total):
                one, at = told(index, total), BEGAN + timedelta(seconds=index)
                model = one["version"].removeprefix("version:").rpartition("/")[0]
                rest = (f"governance_promotion/{index % 5000}", f"request-{index // 4}", at, model, one["place"], at)
                copy.write_row(
                    (1, index, uuid.uuid5(space, str(index)), one["event"], one["actor"], one["subject"], *rest)
                )
    with psycopg.connect(url, autocommit=True) as own:
        own.execute(
            "INSERT INTO audit.checkpoint (log_id, size, root, note, watermark)"
            " VALUES (1, %s, %s, 'bench', pg_snapshot_xmin(pg_current_snapshot()))",
            [total, hashlib.sha256(b"").digest()],
        )
        own.execute("VACUUM ANALYZE")


def _entry(space: uuid.UUID, index: int, total: int) -> tuple[object, ...]:
    one, at = told(index, total), BEGAN + timedelta(seconds=index)
    event_id = uuid.uuid5(space, str(index))
    entry = {
        "v": 1,
        "id": str(event_id),
        "event": one["event"],
        "actor": {"id": one["actor"], "kind": "user", "roles": ["ml_lead"]},
        "subject": one["subject"],
        "object": f"governance_promotion/{index % 5000}",
        "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "request": f"request-{index // 4}",
        "facts": {"version": one["version"], "environment": f"environment:{one['place']}"},
        "commit": {},
    }
    data = json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()
    return 1, event_id, f"governance_promotion/{index % 5000}", data, at


def searches(total: int) -> dict[str, str]:
    """A name and an address for every filter: common, rare, past, and combinations that hardly ever meet."""
    middle = BEGAN + timedelta(seconds=total // 2)
    day = f"since={middle:%Y-%m-%d}&until={middle:%Y-%m-%d}"
    return {
        "everything": "",
        "older page": f"before={total // 2}",
        "newer page": f"after={total // 2}",
        "model": "model=credit-scoring",
        "environment": "environment=staging",
        "actor": f"actor={LAYLA}",
        "actor with 3 entries": f"actor={RARE}",
        "actor of the past": f"actor={GONE}",
        "event": "event=decision.recorded",
        "rare event": "event=rollback.recorded",
        "event that never happened": "event=pack.retired",
        "event that happened once": "event=alias.moved",
        "family": "event=promotion.*",
        "subject": "subject=promotion:3",
        "beginning of a subject": "subject=promotion:*",
        "rare beginning": "subject=safeguard:*",
        "request": "request=request-77",
        "unknown request": "request=nothing",
        "one day": day,
        "far past": "since=2019-01-01&until=2019-12-31",
        "as of": f"as_of={middle:%Y-%m-%dT%H:%M:%SZ}",
        "model and environment": "model=churn&environment=staging",
        "two that hardly meet": f"actor={GONE}&since={middle:%Y-%m-%d}",
        "two that never meet": f"model=fraud&event=rollback.recorded&actor={RARE}",
        "four at once": f"model=churn&environment=prod-uae&event=promotion.*&actor={LAYLA}",
    }


def main() -> None:
    """Both logs, page by page in turns; the worst ratio of medians is the result."""
    setup_test_environment()
    with migrated_server() as bench:
        connections.close_all()
        clients: dict[int, tuple[str, Client]] = {}
        for total in (SMALL, LARGE):
            bench.server.create(f"bench_{total}", NAME)
            load(bench.server.admin(f"bench_{total}"), total)
            url = bench.server.url(database.APP, f"bench_{total}")
            use_database(url)
            client = Client()
            client.force_login(personas.get("noor"))
            clients[total] = url, client
        worst = _compare(clients)
        connections.close_all()
    print(f"audit_page ratio={worst:.2f} goal={GOAL:g}")


def _compare(clients: dict[int, tuple[str, Client]]) -> float:
    """The worst ratio of medians over all searches."""
    worst = 0.0
    for name in searches(LARGE):
        times = {total: sorted(_times(*clients[total], searches(total)[name])) for total in clients}
        ratio = statistics.median(times[LARGE]) / statistics.median(times[SMALL])
        worst = max(worst, ratio)
        shown = "; ".join(f"{total:,} entries {statistics.median(found):.1f} ms" for total, found in times.items())
        print(f"{name}: {shown}; ratio {ratio:.2f}", flush=True)
    return worst


def _times(url: str, client: Client, query: str) -> list[float]:
    use_database(url)
    connection.ensure_connection()
    found = []
    for number in range(ROUNDS + 3):
        begin = time.perf_counter()
        answer = client.get(f"/log?{query}")
        spent = (time.perf_counter() - begin) * 1000
        assert answer.status_code == 200, answer.content[:500]
        if number >= 3:
            found.append(spent)
    return found


if __name__ == "__main__":
    main()
