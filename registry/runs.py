"""A run as pages and the API tell it: what it read, what came of it, and who is responsible for it."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from audit.refusals import NotKnown
from registry import queries
from registry.models import Run


@dataclass(frozen=True, slots=True)
class RunDetail:
    """``inputs`` and ``outputs`` are subjects one step away, sorted, each once."""

    run: Run
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def find_run(run_id: str) -> Run:
    """The run with this id. Raises ``NotKnown``."""
    run = Run.objects.filter(run_id=run_id).first()
    if run is None:
        raise NotKnown(_("There is no run “%(run)s” in the registry.") % {"run": run_id[:64]}, code="run.unknown")
    return run


def run_detail(run_id: str) -> RunDetail:
    """Two queries. Raises ``NotKnown``."""
    run = find_run(run_id)
    edges = queries.edges_at([run.subject])
    return RunDetail(
        run=run,
        inputs=tuple(sorted({edge.source for edge in edges if edge.target == run.subject})),
        outputs=tuple(sorted({edge.target for edge in edges if edge.source == run.subject})),
    )
