"""A web server over a small bank whose candidates are approved, on a durable PostgreSQL: what gate benchmarks ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks._server import migrated_server
from tests.serving import ROOT as ROOT
from tests.serving import web_server

QUESTION = {"model": {"name": "credit-scoring", "version": "14"}, "environment": "prod-uae"}


def question(number: int) -> dict[str, object]:
    """The question about one of several candidates, each of a model of its own."""
    return {"model": {"name": f"scoring-{number}", "version": "1"}, "environment": "prod-uae"}


@contextmanager
def served_bank(state: Path, *, workers: int, candidates: int = 0) -> Iterator[tuple[str, str]]:
    """Its address and a token that may ask. The answer to ``QUESTION`` is allow, and to ``question`` of a candidate."""
    with migrated_server() as bench:
        from django.db import connection

        from registry import versions
        from registry.lineage import edges
        from tests import personas
        from tests.governance import scene

        bank = scene.build()
        scene.approved(bank)
        for number in range(candidates):
            name = f"scoring-{number}"
            words = {"title": name, "owner": "risk", "purpose": "Scores.", "risk": "high", "risk_reason": "Loans."}
            model = versions.register_model(name, **words, by=scene.SET_UP)
            version = versions.register_version(
                model, digest=scene.digest_of(name), trained_by=["yusuf"], number=1, by=scene.SET_UP
            )
            edges.record_edge(bank.loans, version, by=scene.SET_UP)
            scene.approved(bank, version=version)
        token = personas.token_of("ci")
        connection.close()
        with web_server(bench.url(), state, workers=workers) as served:
            yield served.url, token
