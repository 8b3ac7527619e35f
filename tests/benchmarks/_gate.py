"""A web server over a small bank whose candidate is approved, on a durable PostgreSQL: what gate benchmarks ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks._server import migrated_server
from tests.serving import ROOT as ROOT
from tests.serving import web_server

QUESTION = {"model": {"name": "credit-scoring", "version": "14"}, "environment": "prod-uae"}


@contextmanager
def served_bank(state: Path, *, workers: int) -> Iterator[tuple[str, str]]:
    """Its address and a token that may ask; the answer to ``QUESTION`` is allow."""
    with migrated_server() as bench:
        from django.db import connection

        from tests import personas
        from tests.governance import scene

        scene.approved(scene.build())
        token = personas.token_of("ci")
        connection.close()
        with web_server(bench.url(), state, workers=workers) as served:
            yield served.url, token
