"""The receipt of a finished job: everything needed to run it again and to notice that a stored result was changed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import rfc8785
from django.utils.translation import gettext as _

from explain.methods.quality import RowResult
from explain.models import ExplanationJob, ExplanationRow

#: Version of the receipt's shape.
SHAPE = 1
_LIBRARIES = ("numpy", "scikit-learn", "scipy", "lime", "httpx", "orjson", "pyarrow")


def digest(value: Any) -> str:
    """``sha256:`` of the RFC 8785 form of ``value``; whole numbers from 2^53 and NaN, which it lacks, become text."""
    return "sha256:" + hashlib.sha256(canonical(value)).hexdigest()


def canonical(value: Any) -> bytes:
    """The bytes that ``digest`` hashes."""
    return rfc8785.dumps(_canonical(value))


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return f"float:{value}"
    if isinstance(value, int | float) and abs(value) >= 2**53:
        return f"int:{int(value)}"  # PostgreSQL's jsonb gives 1e20 back as an integer
    return value


def asked(
    *, columns: Sequence[Any], rows: Sequence[Any], background: Sequence[Any], config: Mapping[str, Any]
) -> dict[str, str]:
    """Digests of what a job was asked."""
    return {
        "columns": digest(columns),
        "rows": digest(rows),
        "background": digest(background),
        "config": digest(config),
    }


def results_digest(rows: Iterable[RowResult]) -> str:
    """One digest over all results in the order of their ids: the same whatever the order of work."""
    return digest(
        [
            {
                "id": row.row_id,
                "phi": list(row.phi),
                "se": list(row.se),
                "base": row.base,
                "fx": row.fx,
                "residual": row.residual,
                "evals": row.evals,
                "rounds": row.rounds,
                "converged": row.converged,
                "certain": row.certain,
                "problem": row.problem,
                "diagnostics": row.diagnostics,
            }
            for row in sorted(rows, key=lambda each: each.row_id)
        ]
    )


def write(
    job: ExplanationJob, rows: Sequence[RowResult], *, probe: Mapping[str, Any], faults: Mapping[str, int]
) -> dict[str, Any]:
    """The receipt of ``job`` with its results, as it is stored and shown."""
    return {
        "v": SHAPE,
        "explanation": job.subject,
        "version": {"subject": job.version.subject, "digest": job.digest},
        "endpoint": {"subject": job.endpoint.subject, "url": job.endpoint.url, "protocol": job.endpoint.protocol},
        "method": job.method,
        "output": job.output,
        "tol": str(job.tol),
        "seed": str(job.seed),
        "budget": job.budget,
        "digests": {**job.digests, "results": results_digest(rows)},
        "rows": len(rows),
        "evals": sum(row.evals for row in rows),
        "faults": dict(faults),
        "probe": dict(probe),
        "libraries": libraries(),
    }


def libraries() -> dict[str, str]:
    """Versions of what computed; ``"absent"`` for what is not installed."""
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def result_of(row: ExplanationRow) -> RowResult:
    """The stored row as the value that was computed."""
    return RowResult(
        row_id=row.row_id,
        phi=tuple(row.phi),
        se=tuple(row.se),
        base=row.base,
        fx=row.fx,
        residual=row.residual,
        evals=row.evals,
        rounds=row.rounds,
        converged=row.converged,
        certain=row.certain,
        problem=row.problem,
        diagnostics=row.diagnostics,
    )


def problems(job: ExplanationJob) -> list[str]:
    """What no longer fits in a finished job, as sentences; empty when receipt and stored data agree."""
    found: list[str] = []
    if digest(job.receipt) != job.receipt_digest:
        found.append(_("The receipt is not the one whose digest was recorded when the job finished."))
    digests = job.receipt.get("digests", {})
    stored = [result_of(row) for row in job.results.all()]
    if results_digest(stored) != digests.get("results"):
        found.append(_("The stored results are not those of the receipt."))
    if digest(job.rows) != digests.get("rows"):
        found.append(_("The stored rows are not those of the receipt."))
    if digest(job.background) != digests.get("background"):
        found.append(_("The stored background is not that of the receipt."))
    return found
