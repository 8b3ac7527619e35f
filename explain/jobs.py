"""Every change of an explanation job: request, start, checkpoint, finish, fail, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import Conflict
from explain import queueing, receipts, requests, signals
from explain.methods import quality
from explain.methods.quality import RowResult
from explain.models import LIFECYCLE, ExplanationJob, ExplanationRow, Standing, State
from explain.serving.protocol import Cancelled
from registry.models import Endpoint, ModelVersion

#: Who works on jobs.
WORKER = Actor.system("explanation-worker")


@transaction.atomic
def request(
    version: ModelVersion,
    endpoint: Endpoint,
    *,
    method: str,
    rows: Mapping[str, Mapping[str, Any]],
    background: Sequence[Mapping[str, Any]],
    seed: int = 0,
    tol: Decimal | str = "0.05",
    by: Actor,
) -> ExplanationJob:
    """Ask for an explanation of ``rows`` (stable id -> column -> value) against ``background``.

    The job is queued when this transaction commits, also while the broker is down. Raises ``BadInput`` for rows,
    numbers or a method that cannot be used (with the place), ``Refused`` when the endpoint does not serve the version
    or the work is beyond the budget.
    """
    inquiry = requests.read(version, endpoint, method=method, rows=rows, background=background, seed=seed, tol=tol)
    job = ExplanationJob(
        version=version,
        endpoint=endpoint,
        digest=version.digest,
        method=method,
        columns=inquiry.columns,
        rows=inquiry.rows,
        background=inquiry.background,
        output=inquiry.output,
        tol=inquiry.tol,
        seed=inquiry.seed,
        budget=inquiry.budget,
        digests=inquiry.digests,
        requested_by=by.id,
    )
    job.save()
    log.append(
        Event.EXPLANATION_REQUESTED,
        job,
        facts={
            "digest": version.digest,
            "endpoint": endpoint.subject,
            "method": method,
            "rows": len(inquiry.rows),
            "background": len(inquiry.background),
            "digests": inquiry.digests,
        },
        by=by,
    )
    job_id = job.pk
    transaction.on_commit(lambda: queueing.enqueue(job_id) and None)
    return job


@transaction.atomic
def begin(job_id: int, *, by: Actor) -> ExplanationJob | None:
    """Start the job, or take over what a killed worker left; ``None`` when nothing is to be done any more."""
    job = (
        ExplanationJob.objects.select_for_update(of=("self",))
        .select_related("version__model", "endpoint__environment", "endpoint__version")
        .filter(pk=job_id)
        .first()
    )
    if job is None or not job.open:
        return None
    if job.state == State.QUEUED:
        LIFECYCLE.transition(job, State.RUNNING, changes={"started": timezone.now()}, by=by)
    else:
        LIFECYCLE.transition(job, State.RUNNING, facts={"rows_done": job.results.count()}, by=by)
    return job


@transaction.atomic
def checkpoint(job: ExplanationJob, found: Sequence[RowResult]) -> None:
    """Keep finished rows; those that are kept already stay. Raises ``Cancelled`` when the job no longer runs."""
    stored = ExplanationJob.objects.select_for_update().only("state").get(pk=job.pk)
    if stored.state != State.RUNNING:
        raise Cancelled
    positions = {row["id"]: i for i, row in enumerate(job.rows)}
    ExplanationRow.objects.bulk_create(
        [
            ExplanationRow(
                job=job,
                row_id=row.row_id,
                position=positions[row.row_id],
                phi=list(row.phi),
                se=list(row.se),
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
            for row in found
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def finish(job: ExplanationJob, *, probe: Mapping[str, Any], fatal: Sequence[str], by: Actor) -> ExplanationJob:
    """Write the receipt and decide what the results are good for.

    ``fatal``: findings of the probe after which nothing counts as evidence. Raises ``Conflict`` when the job was
    cancelled or rows are missing.
    """
    ExplanationJob.objects.select_for_update().only("id").get(pk=job.pk)
    rows = [receipts.result_of(row) for row in job.results.all()]
    if len(rows) != len(job.rows):
        raise Conflict(_("Rows of %(subject)s are missing.") % {"subject": job.subject}, code="explanation.incomplete")
    faults = {**quality.faults(job.method, rows), **{finding: len(rows) for finding in fatal}}
    receipt = receipts.write(job, rows, probe=probe, faults=faults)
    standing = Standing.DRAFT if faults else Standing.EVIDENCE
    facts = {
        "version_digest": job.digest,
        "method": job.method,
        "standing": standing.value,
        "faults": faults,
        "rows": len(rows),
        "evals": receipt["evals"],
        "digests": receipt["digests"],
        "libraries": receipt["libraries"],
        "probe_findings": list(probe.get("findings", [])),
        "probe": receipts.digest(probe),
        "receipt": receipts.digest(receipt),
    }
    changes = {
        "standing": standing.value,
        "receipt": receipt,
        "receipt_digest": facts["receipt"],
        "ended": timezone.now(),
    }
    LIFECYCLE.transition(job, State.FINISHED, facts=facts, changes=changes, by=by)
    signals.explanation_finished.send(sender=ExplanationJob, job=job, by=by)
    return job


@transaction.atomic
def fail(job: ExplanationJob, sentence: str, *, code: str, discard: bool = False, by: Actor) -> ExplanationJob:
    """End the job with a sentence that its requester can act on; ``discard`` drops results that are known to be
    wrong.
    """
    if discard:
        job.results.all().delete()
    LIFECYCLE.transition(
        job,
        State.FAILED,
        facts={"code": code, "discarded": discard},
        reason=sentence[:2000],
        changes={"error": sentence[:2000], "ended": timezone.now()},
        by=by,
    )
    return job


@transaction.atomic
def cancel(job: ExplanationJob, *, reason: str = "", by: Actor) -> ExplanationJob:
    """End the job; a worker notices within a second or at its next request. Raises ``Conflict`` when it has ended."""
    LIFECYCLE.transition(job, State.CANCELLED, reason=reason, changes={"ended": timezone.now()}, by=by)
    return job
