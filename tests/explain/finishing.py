"""A job that ended without a worker: what governance reads of an explanation needs no served model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from audit.actors import Actor
from explain import jobs, queries
from explain.methods.quality import RowResult
from explain.models import ExplanationJob, Method
from tests.explain.conftest import TRAINER, ask

#: What a probe says of an endpoint at which nothing is wrong.
HEALTHY: dict[str, Any] = {"findings": [], "wire": "json", "canaries": [], "batch_difference": 0.0}


#: What each feature contributes.
VALUE = 0.1


def result(row_id: str, width: int, method: str, *, good: bool = True) -> RowResult:
    """One row: ``VALUE`` for each feature. Without ``good`` it did not converge."""
    fits = {"r2": 0.9 if good else 0.2, "vsi": 1.0, "csi": 1.0, "samples": 5000}
    return RowResult(
        row_id=row_id,
        phi=(VALUE,) * width,
        se=(0.0,) * width,
        base=0.2,
        fx=0.2 + sum((VALUE,) * width),
        residual=0.0,
        evals=100,
        rounds=2,
        converged=good,
        certain=0,
        problem="",
        diagnostics=fits if method == Method.LIME else {},
    )


def finished(endpoint: Any, *, method: str = Method.SHAP, good: bool = True, **asked: Any) -> ExplanationJob:
    """A finished job of two rows about the version that ``endpoint`` serves: evidence, or a draft without ``good``."""
    return finish(ask(endpoint, count=2, method=method, **asked), good=good)


def finish(
    asked: ExplanationJob,
    *,
    good: bool = True,
    rows: Sequence[RowResult] = (),
    plan: Mapping[str, Any] | None = None,
    by: Actor = jobs.WORKER,
) -> ExplanationJob:
    """The job as a worker leaves it that found ``rows`` (or made-up ones) by ``plan``."""
    if connection.in_atomic_block:
        connection.check_constraints()  # rows come with a question that is still queued: checked at a commit
    job = jobs.begin(asked.pk, alone=True, by=jobs.WORKER)
    assert job is not None
    algorithm = "lime" if job.method == Method.LIME else "pair_perm"
    made_up = {"probe": HEALTHY, "algorithm": algorithm, "because": "", "selected": None, "chunk": 2}
    jobs.prepared(job, plan or made_up, by=TRAINER)
    rows = rows or [result(f"r{i}", len(job.columns), job.method, good=good) for i in range(job.total)]
    jobs.checkpoint(job, rows, {row.row_id: i for i, row in enumerate(rows)})
    jobs.finish(job, fatal=[], canaries=[], by=by)
    return queries.find(job.pk)
