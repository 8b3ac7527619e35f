"""The receipt of a finished job: everything needed to run it again and to notice that a stored result was changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from django.utils.translation import gettext as _

from audit import log, queries
from audit.health import log_head
from audit.models.events import Event
from audit.refusals import Refusal
from audit.searching import Filters
from explain import inputs, requests
from explain.digests import digest
from explain.methods.agreement import agreement
from explain.methods.quality import RowResult
from explain.models import ExplanationJob, ExplanationRow

#: Version of the receipt's shape.
SHAPE, FIRST_SHAPE = 2, 1
_LIBRARIES = ("numpy", "scikit-learn", "scipy", "shap", "lime", "httpx", "orjson", "pyarrow", "xgboost", "skops")


class LogBehind(Refusal):
    """The log cannot be asked now, so that nobody knows whether something fits."""

    status = 503


def result_digest(row: RowResult) -> str:
    """The digest of one result: what stays of it when its data subject is erased."""
    return digest(_result(row))


def results_digest(digests: Sequence[str]) -> str:
    """One digest over the digests of all results in the order of the question: the same whatever the order of work."""
    return digest(list(digests))


def _result(row: RowResult) -> dict[str, Any]:
    return {
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


def write(
    job: ExplanationJob,
    stored: Sequence[ExplanationRow],
    *,
    faults: Mapping[str, int],
    agreed: Mapping[str, Any] | None,
    canaries: Sequence[float],
    ended: datetime,
) -> dict[str, Any]:
    """The receipt of ``job`` with its results, as it is stored and shown. ``canaries``: their answers at the end."""
    found: dict[str, Any] = {
        "v": SHAPE,
        "explanation": job.subject,
        "version": {"subject": job.version.subject, "digest": job.digest},
        "endpoint": endpoint_of(job),
        "method": job.method,
        "algorithm": job.algorithm,
        "because": job.plan.get("because", ""),
        "artifact": job.plan.get("artifact"),
        "level": job.settings.get("level", ""),
        "rounds": job.settings.get("rounds"),
        "groups": job.settings.get("groups"),
        "sample": job.settings.get("sample"),
        "output": job.output,
        "tol": str(job.tol),
        "seed": str(job.seed),
        "budget": job.budget,
        "digests": {**job.digests, "results": results_digest([row.digest for row in stored])},
        "rows": len(stored),
        "evals": sum(row.evals for row in stored),
        "faults": dict(faults),
        "probe": job.plan.get("probe", {}),
        "canaries_at_end": list(canaries),
        "started": _moment(job.started),
        "ended": _moment(ended),
        "libraries": libraries(),
    }
    if job.settings.get("drawn"):
        found["drawn"] = job.settings["drawn"]
    if agreed is not None:
        found["agreement"] = dict(agreed)
    return found


def agreement_of(job: ExplanationJob, stored: Sequence[ExplanationRow]) -> dict[str, Any] | None:
    """Whether the results agree with those of the job that ``job`` repeats; None when it repeats none."""
    if job.repeats is None:
        return None
    before = [result_of(row) for row in job.repeats.results.all()]
    made = agreement(before, [result_of(row) for row in stored])
    return {"with": job.repeats.subject, **made.as_json()}


def endpoint_of(job: ExplanationJob) -> dict[str, Any]:
    """What the receipt says of the endpoint: what it answers depends on all of it."""
    endpoint = job.endpoint
    return {
        "subject": endpoint.subject,
        "url": endpoint.url,
        "protocol": endpoint.protocol,
        "options": getattr(endpoint, "options", {}),
        "contract": endpoint.output,
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds")


def libraries(names: Sequence[str] = _LIBRARIES) -> dict[str, str]:
    """Versions of what computed; ``"absent"`` for what is not installed."""
    found: dict[str, str] = {}
    for name in names:
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
    """What no longer fits in a finished job, as sentences; empty when receipt and stored data agree.

    Raises ``subject_keys.KeysUnavailable``, ``LogBehind``: then nothing is known.
    """
    found: list[str] = []
    if not digest(job.receipt) == job.receipt_digest == recorded_digest(job.subject, Event.EXPLANATION_FINISHED):
        found.append(_("The receipt is not the one whose digest was recorded when the job finished."))
    digests = job.receipt.get("digests", {})
    if job.receipt.get("v") == FIRST_SHAPE:
        return found + _first_shape(job, digests)
    asked = {"columns": digest(job.columns), "config": digest(requests.stored_config(job))}
    if any(digests.get(name) != made for name, made in asked.items()):
        found.append(_("The question is not that of the receipt."))
    stored = list(job.results.all())
    changed = any(not row.erased and result_digest(result_of(row)) != row.digest for row in stored)
    if changed or results_digest([row.digest for row in stored]) != digests.get("results"):
        found.append(_("The stored results are not those of the receipt."))
    if inputs.problems(job):
        found.append(_("The stored rows or the background are not those of the receipt."))
    return found


def recorded_digest(subject: str, finished: Event) -> str:
    """The digest of the receipt in the entry that ended ``subject``; empty when no log of this installation has it.

    Raises ``LogBehind`` when it is not found and may be among more entries without a number than a search reads.
    """
    for number in dict.fromkeys([log.log_id(), *(number for number, _origin in queries.logs())]):
        entry = Filters(subject=subject, event=finished.value, log_id=number)
        if rows := queries.search(entry, limit=1).rows:
            return str(rows[0].facts.get("receipt", ""))
    if log_head().pending >= queries.MAX_PENDING:
        raise LogBehind(
            _("Too many entries wait for their number to say what the log holds: try again when it has caught up."),
            code="log.behind",
        )
    return ""


def _first_shape(job: ExplanationJob, digests: Mapping[str, Any]) -> list[str]:
    """The same for receipts from before rows were sealed."""
    found = []
    rows = sorted((result_of(row) for row in job.results.all()), key=lambda each: each.row_id)
    if digest([_result(row) for row in rows]) != digests.get("results"):
        found.append(_("The stored results are not those of the receipt."))
    if digest(job.rows) != digests.get("rows") or digest(job.background) != digests.get("background"):
        found.append(_("The stored rows or the background are not those of the receipt."))
    return found
