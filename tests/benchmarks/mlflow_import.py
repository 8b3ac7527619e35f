"""Importing 2,000 versions from a real MLflow server against only fetching the same answers from it.

The requests of the import are written down and sent again, one after the other on one connection, by a client that
reads every body and does nothing with it. Then fifty versions are compared with MLflow's answers, field by field.
"""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.benchmarks._server import migrated_server  # sets Django up, so it comes first

# isort: split
from django.conf import settings

from audit.actors import Actor
from registry.sources import mlflow, mlflow_client
from tests.benchmarks._many_models import MODELS, VERSIONS, many_models
from tests.registry.compared import differences

GOAL = 1.5
BY = Actor.system("mlflow-import")


class Noting(httpx.Client):
    """The import's own client, which also keeps what it asked."""

    asked: list[tuple[str, str, bytes]] = []

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        self.asked.append((request.method, str(request.url), request.content))
        return super().send(request, **options)


def fetch_again() -> float:
    """Seconds for the same requests."""
    begin = time.perf_counter()
    with httpx.Client(timeout=60) as http:
        for method, url, content in Noting.asked:
            with http.stream(method, url, content=content) as answer:
                assert answer.status_code == 200, url
                for _piece in answer.iter_bytes():
                    pass
    return time.perf_counter() - begin


def main() -> None:
    """One import, one replay, and what they have to show."""
    with many_models() as tracking, migrated_server("max_wal_size=4GB"):
        settings.MLFLOW_TRACKING_URI = tracking.url
        mlflow_client.httpx.Client, plain = Noting, mlflow_client.httpx.Client  # type: ignore[misc]
        try:
            begin = time.perf_counter()
            summary = mlflow.import_all(by=BY)
            importing = time.perf_counter() - begin
        finally:
            mlflow_client.httpx.Client = plain  # type: ignore[misc]
        assert (summary.models, summary.versions, summary.problems) == (MODELS, VERSIONS, [])
        fetching = fetch_again()
        wrong = differences(tracking, 50)
        assert wrong == [], wrong
    print(f"import {importing:.1f} s, {len(Noting.asked)} requests alone {fetching:.1f} s; 50 versions compared: equal")
    print(f"mlflow_import ratio={importing / fetching:.2f} goal={GOAL:g}")


if __name__ == "__main__":
    main()
