"""Explanation jobs as a user has them: asked over the API, done by Celery workers, kept in PostgreSQL and logged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks._server import Bench, migrated_server  # isort: skip  (sets Django up)

from explain.engines import Inquiry
from explain.models import ExplanationJob
from tests.explain.workers import valkey, worker
from tests.serving import web_server


@dataclass(frozen=True)
class Stack:
    """A server with a version whose endpoint is registered; ``ask`` runs a job to its end."""

    bench: Bench
    broker: str
    state: Path
    api: httpx.Client
    version: str

    def ask(self, asked: Inquiry, endpoint: str, **more: Any) -> dict[str, Any]:
        """The finished job over the API. Fails when it ends in another way."""
        names = [column.name for column in asked.columns]
        body = {
            "version": self.version,
            "endpoint": endpoint,
            "method": "shap",
            "algorithm": "pair_perm",
            "rows": [{"id": row.row_id, "values": dict(zip(names, row.cells, strict=True))} for row in asked.rows],
            "background": [dict(zip(names, row, strict=True)) for row in asked.background],
            "seed": asked.seed,
            **more,
        }
        answer = self.api.post("/api/v1/explanations", json=body)
        assert answer.status_code == 201, answer.text
        number = answer.json()["id"]
        state, tries = "queued", 0
        while state in ("queued", "running"):
            time.sleep(0.05)
            tries += 1
            state = ExplanationJob.objects.values_list("state", flat=True).get(pk=number)
            assert tries < 12_000, "the job does not end"
        job: dict[str, Any] = self.api.get(f"/api/v1/explanations/{number}").json()
        assert job["state"] == "finished", (job["state"], job["error"])
        return job

    @contextmanager
    def workers(self, count: int) -> Iterator[None]:
        """So many workers, each one process, as on so many machines."""
        with ExitStack() as running:
            for number in range(count):
                log = self.state / f"worker-{number}.log"
                running.enter_context(worker(self.bench.url(), self.broker, log))
            time.sleep(8.0)  # imports; jobs that come earlier would wait for them
            yield


@contextmanager
def stack(state: Path, endpoints: dict[str, dict[str, Any]]) -> Iterator[Stack]:
    """Everything but workers. ``endpoints``: name -> what ``registry.environments.register_endpoint`` takes."""
    with migrated_server() as bench, valkey() as broker:
        from django.db import connection

        from registry import environments
        from tests import personas
        from tests.explain.conftest import register_endpoint

        first = register_endpoint("http://127.0.0.1:9/", schema={})
        version = first.version.subject
        for name, given in endpoints.items():
            environments.register_endpoint(
                name,
                environment=first.environment,
                version=first.version,
                output={"kind": "probability", "of_class": "1", "index": 1},
                by=personas.SET_UP,
                **given,
            )
        token = personas.token_of("ci")
        connection.close()
        with (
            web_server(bench.url(), state, broker=broker) as served,
            httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {token}"}, timeout=120) as api,
        ):
            yield Stack(bench, broker, state, api, version)
