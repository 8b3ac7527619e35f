"""Each list page of the registry with 10,000 versions against the same page with 100, with and without filters.

``REGISTRY_VERSIONS`` makes it smaller. Both registries fill a page, so that both pages show as many rows.
"""

from __future__ import annotations

import os
import statistics
import time

from tests.benchmarks._server import NAME, migrated_server  # isort: skip  (it prepares Django)

from django.db import connection, connections
from django.test import Client
from django.test.utils import setup_test_environment

from config.stack import database
from tests import personas
from tests.conftest import use_database
from tests.registry.many import load

GOAL = 1.5
SMALL, LARGE = 100, int(os.environ.get("REGISTRY_VERSIONS", "10000"))
ROUNDS = 12
PAGES = (
    "/models",
    "/models?page=2",
    "/models?q=model-0000",
    "/models?risk=high",
    "/models?environment=place-3",
    "/models?state=serving",
    "/datasets",
    "/datasets?page=2",
    "/datasets?q=data-000",
    "/datasets?classification=personal",
    "/datasets?unknown=gate",
    "/datasets?region=azure:uaenorth",
    "/environments",
    "/environments?region=azure:uaenorth",
    "/deployments",
    "/deployments?page=2",
    "/deployments?environment=place-3",
    "/deployments?strategy=blue_green",
    "/deployments?state=serving",
    "/deployments?since=2026-01-01&until=2026-01-01",
)


def main() -> None:
    """Both registries, page by page in turns; the worst ratio of medians is the result."""
    setup_test_environment()
    with migrated_server() as bench:
        connections.close_all()
        clients: dict[int, tuple[str, Client]] = {}
        for total, models, datasets in ((SMALL, 100, 100), (LARGE, LARGE // 10, LARGE // 2)):
            name = f"bench_{total}"
            bench.server.create(name, NAME)
            load(bench.server.admin(name), versions=total, models=models, datasets=datasets)
            url = bench.server.url(database.APP, name)
            use_database(url)
            client = Client()
            client.force_login(personas.get("noor"))
            clients[total] = url, client
        worst = max(_ratio(page, clients) for page in PAGES)
        connections.close_all()
    print(f"registry_pages ratio={worst:.2f} goal={GOAL:g}")


def _ratio(page: str, clients: dict[int, tuple[str, Client]]) -> float:
    """Medians against each other; the two take turns, so that a busy machine slows both."""
    times: dict[int, list[float]] = {total: [] for total in clients}
    for number in range(ROUNDS):
        for total in clients if number % 2 else reversed(clients):
            times[total].append(_time(*clients[total], page))
    medians = {total: statistics.median(found) for total, found in times.items()}
    ratio = medians[LARGE] / medians[SMALL]
    shown = "; ".join(f"{total:,} versions {spent:.1f} ms" for total, spent in medians.items())
    print(f"{page}: {shown}; ratio {ratio:.2f}", flush=True)
    return ratio


def _time(url: str, client: Client, page: str) -> float:
    """Milliseconds of the second request on a fresh connection: the first one fills the database's caches."""
    use_database(url)
    connection.ensure_connection()
    spent = 0.0
    for _request in range(2):
        begin = time.perf_counter()
        answer = client.get(page)
        spent = (time.perf_counter() - begin) * 1000
        assert answer.status_code == 200, answer.content[:500]
    return spent


if __name__ == "__main__":
    main()
