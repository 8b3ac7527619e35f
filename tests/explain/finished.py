"""Finished explanations with results that a test chooses, written as a worker writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from explain import jobs, queries
from explain.methods.quality import RowResult, certain_ranks
from explain.models import ExplanationJob
from tests.explain.conftest import TRAINER, ask

PLAN = {"probe": {"findings": []}, "algorithm": "pair_perm", "because": "tests", "selected": None, "chunk": 10}


def result(row_id: str, phi: Sequence[float], *, se: float = 0.001, base: float = 0.2, **changes: Any) -> RowResult:
    """A good row with these contributions."""
    values = np.asarray(phi, dtype=np.float64)
    given: dict[str, Any] = {
        "phi": tuple(float(each) for each in phi),
        "se": (se,) * len(phi),
        "base": base,
        "fx": base + float(values.sum()),
        "residual": 0.0,
        "evals": 100,
        "rounds": 2,
        "converged": True,
        "certain": certain_ranks(values, np.full(len(phi), se)),
        **changes,
    }
    return RowResult(row_id, **given)


def finished(endpoint: Any, results: Mapping[str, RowResult | Sequence[float]], **asked: Any) -> ExplanationJob:
    """A finished job with ``results`` by row id; ``asked`` goes to ``tests.explain.conftest.ask``."""
    job = ask(endpoint, count=len(results), **asked)
    begun = jobs.begin(job.pk, alone=True, by=TRAINER)
    assert begun is not None
    jobs.prepared(begun, PLAN, by=TRAINER)
    rows = [each if isinstance(each, RowResult) else result(name, each) for name, each in results.items()]
    jobs.checkpoint(begun, rows, {row.row_id: i for i, row in enumerate(rows)})
    jobs.finish(begun, fatal=[], canaries=[], by=TRAINER)
    return queries.find(job.pk)
