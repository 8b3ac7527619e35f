"""Every change of an explanation job: request, start, checkpoint, pause, wait, finish, fail, cancel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import Conflict, Refused
from explain import estimates, inputs, notices, queueing, receipts, regions, requests, signals
from explain.digests import digest
from explain.methods import quality
from explain.methods.quality import RowResult
from explain.models import LIFECYCLE, ExplanationJob, ExplanationRow, Standing, State
from explain.serving.protocol import Cancelled
from registry.models import Endpoint, ModelVersion

#: Who works on jobs.
WORKER = Actor.system("explanation-worker")
#: How soon, at most how late, and for how long a silent endpoint is asked again.
SHORTEST_RETRY, LONGEST_RETRY, LONGEST_WAIT = timedelta(seconds=15), timedelta(minutes=10), timedelta(hours=24)


def request(version: ModelVersion, endpoint: Endpoint, *, by: Actor, **asked: Any) -> ExplanationJob:
    """Ask for an explanation; the words of the question are ``requests.Asked``.

    The job is queued when this transaction commits, also while the broker is down. Raises ``BadInput`` for rows,
    numbers or a method that cannot be used (with the place), ``Refused`` when the endpoint does not serve the version,
    the work is beyond the budget or the workers are where its rows may not go, ``KeysUnavailable`` while rows cannot
    be sealed.
    """
    question = requests.Asked(**asked)
    notify = notices.allowed(question.notify)
    inquiry = requests.read(version, endpoint, question)
    cost = estimates.estimate(endpoint, inquiry, method=question.method)
    rows, background = inputs.draw(inquiry.rows, inquiry.background, question.subjects, question.background_subjects)
    settings = {**inquiry.settings, "estimate": asdict(cost)}
    job = ExplanationJob(
        version=version,
        endpoint=endpoint,
        digest=version.digest,
        method=question.method,
        columns=inquiry.described,
        output=inquiry.output,
        tol=inquiry.tol,
        seed=inquiry.seed,
        budget=inquiry.budget,
        settings=settings | ({"notify": notify} if notify else {}) | _drawn(question.drawn),
        digests=_digests(inquiry.described, rows, background, inquiry.config(question.method)),
    )
    return _ask(job, rows, background, by=by)


def estimate(version: ModelVersion, endpoint: Endpoint, **asked: Any) -> estimates.Estimate:
    """What the question would cost; writes nothing. Raises what ``request`` raises."""
    question = requests.Asked(**asked)
    return estimates.estimate(endpoint, requests.read(version, endpoint, question), method=question.method)


def rerun(job: ExplanationJob, *, seed: int | None = None, by: Actor) -> ExplanationJob:
    """Ask the very same again, of the same endpoint; the receipt then says whether both agree.

    ``seed``: another one asks whether the answer depends on chance; None repeats every bit. Raises ``Conflict`` when
    the job has not finished or rows of it were erased, ``Refused`` when the endpoint serves another version by now.
    """
    if job.state != State.FINISHED:
        raise Conflict(_("Only a finished explanation can be run again."), code="explanation.not_finished")
    if job.endpoint.version_id != job.version_id or job.version.digest != job.digest:
        raise Refused(
            _("%(endpoint)s serves another version by now: ask a new question about that one.")
            % {"endpoint": job.endpoint.subject},
            code="explanation.endpoint_serves_another",
        )
    try:
        rows, background = inputs.drawn_of(job)
    except LookupError:
        raise Conflict(
            _("Rows of this explanation were erased, so nobody can run it again."), code="explanation.rows_erased"
        ) from None
    settings = {name: value for name, value in job.settings.items() if name != "notify"}
    if job.plan.get("algorithm"):
        settings["algorithm"] = job.plan["algorithm"]
    again = ExplanationJob(
        version=job.version,
        endpoint=job.endpoint,
        digest=job.digest,
        method=job.method,
        columns=job.columns,
        output=job.output,
        tol=job.tol,
        seed=job.seed if seed is None else requests.seed(seed),
        budget=job.budget,
        settings=settings,
        repeats=job,
    )
    again.digests = {**job.digests, "config": digest(requests.stored_config(again))}
    return _ask(again, rows, background, by=by)


def _digests(
    columns: Sequence[Any], rows: Sequence[inputs.Drawn], background: Sequence[inputs.Drawn], config: Mapping[str, Any]
) -> dict[str, str]:
    committed = inputs.digests_of([each.commitment for each in rows], [each.commitment for each in background])
    return {"columns": digest(columns), **committed, "config": digest(config)}


@transaction.atomic
def _ask(
    job: ExplanationJob, rows: Sequence[inputs.Drawn], background: Sequence[inputs.Drawn], *, by: Actor
) -> ExplanationJob:
    regions.refuse_elsewhere(job.endpoint)
    job.requested_by = by.id
    job.rows_count, job.background_count = len(rows), len(background)
    job.save()
    inputs.store(job, rows, background)
    facts = {
        "digest": job.digest,
        "endpoint": job.endpoint.subject,
        "method": job.method,
        "rows": len(rows),
        "background": len(background),
        "output": job.output,
        "settings": {name: job.settings.get(name) for name in ("algorithm", "level", "sample")},
        "digests": job.digests,
        **({"repeats": job.repeats.subject} if job.repeats else {}),
        **_drawn(job.settings.get("drawn")),
    }
    log.append(Event.EXPLANATION_REQUESTED, job, facts=facts, by=by)
    _announce(job)
    return job


def _drawn(record: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"drawn": dict(record)} if record else {}


def _announce(job: ExplanationJob) -> None:
    job_id = job.pk
    transaction.on_commit(lambda: queueing.enqueue(job_id) and None)


@transaction.atomic
def begin(job_id: int, *, alone: bool, by: Actor) -> ExplanationJob | None:
    """Start the job, join it, or take over what a killed worker left; ``None`` when nothing is to be done.

    ``alone``: no other worker holds the job, so that a running one was left by one that died.
    """
    job = (
        ExplanationJob.objects.select_for_update(of=("self",))
        .select_related("version__model", "endpoint__environment", "endpoint__version", "repeats")
        .filter(pk=job_id)
        .first()
    )
    if job is None or not job.open or job.state == State.PAUSED:
        return None
    if job.state == State.QUEUED:
        first = {} if job.started else {"started": timezone.now()}
        LIFECYCLE.transition(job, State.RUNNING, changes=first, by=by)
    elif job.state == State.WAITING or alone:
        changes = {"retry_at": None, "error": ""} if job.state == State.WAITING else {}
        LIFECYCLE.transition(job, State.RUNNING, facts={"rows_done": job.results.count()}, changes=changes, by=by)
    return job


@transaction.atomic
def prepared(job: ExplanationJob, plan: Mapping[str, Any], *, by: Actor) -> None:
    """Keep what the probe found and what was chosen; written once. Raises ``Cancelled`` when it no longer runs."""
    stored = ExplanationJob.objects.select_for_update().only("state").get(pk=job.pk)
    if stored.state != State.RUNNING:
        raise Cancelled
    job.plan, job.silent_since, job.silent_rows = dict(plan), None, None  # the probe was answered
    job.save(update_fields=["plan", "silent_since", "silent_rows"])
    facts = {
        "algorithm": plan["algorithm"],
        "because": plan["because"],
        "probe": digest(plan["probe"]),
        "probe_findings": plan["probe"].get("findings", []),
    }
    log.append(Event.EXPLANATION_PREPARED, job, facts=facts, by=by)


@transaction.atomic
def checkpoint(job: ExplanationJob, found: Sequence[RowResult], positions: Mapping[str, int]) -> None:
    """Keep finished rows; those that are kept already stay. ``positions``: row id -> place in the question.

    Raises ``Cancelled`` when the job no longer runs.
    """
    stored = ExplanationJob.objects.select_for_update().only("state").get(pk=job.pk)
    if stored.state != State.RUNNING:
        raise Cancelled
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
                digest=receipts.result_digest(row),
            )
            for row in found
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def finish(job: ExplanationJob, *, fatal: Sequence[str], canaries: Sequence[float], by: Actor) -> ExplanationJob:
    """Write the receipt and decide what the results are good for.

    ``fatal``: findings of the probe after which nothing counts as evidence. ``canaries``: their answers at the end.
    Raises ``Conflict`` when the job has ended or rows are missing.
    """
    ExplanationJob.objects.select_for_update().only("id").get(pk=job.pk)
    stored = list(job.results.all())
    rows = [receipts.result_of(row) for row in stored]
    if len(rows) != job.total:
        raise Conflict(_("Rows of %(subject)s are missing.") % {"subject": job.subject}, code="explanation.incomplete")
    faults = {**quality.faults(job.method, rows), **{finding: len(rows) for finding in fatal}}
    agreed = receipts.agreement_of(job, stored)
    if agreed is not None and not agreed["holds"]:
        faults["disagrees"] = agreed["rows"] - agreed["agree"]
    ended = timezone.now()
    receipt = receipts.write(job, stored, faults=faults, agreed=agreed, canaries=canaries, ended=ended)
    standing = Standing.DRAFT if faults else Standing.EVIDENCE
    facts = {
        "version_digest": job.digest,
        "method": job.method,
        "algorithm": job.algorithm,
        "standing": standing.value,
        "faults": faults,
        "rows": len(rows),
        "evals": receipt["evals"],
        "digests": receipt["digests"],
        "libraries": receipt["libraries"],
        "probe_findings": list(receipt["probe"].get("findings", [])),
        "receipt": digest(receipt),
        **_agreement(receipt),
    }
    changes = {
        "standing": standing.value,
        "receipt": receipt,
        "receipt_digest": facts["receipt"],
        "ended": ended,
    }
    LIFECYCLE.transition(job, State.FINISHED, facts=facts, changes=changes, by=by)
    signals.explanation_finished.send(sender=ExplanationJob, job=job, by=by)
    signals.explanation_ended.send(sender=ExplanationJob, job=job, by=by)
    return job


def _agreement(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """For the entry, which holds no floats."""
    said = receipt.get("agreement")
    return {} if said is None else {"agreement": {**said, "largest": repr(said["largest"])}}


@transaction.atomic
def fail(job: ExplanationJob, sentence: str, *, code: str, by: Actor) -> ExplanationJob:
    """End the job with a sentence that its requester can act on.

    The entry has the code only: the sentence may quote what a server said of a row, and an erasure takes it from the
    job but from no log.
    """
    return _ended(job, State.FAILED, facts={"code": code}, error=sentence, by=by)


@transaction.atomic
def discard(job: ExplanationJob, sentence: str, *, by: Actor) -> ExplanationJob:
    """Another model answered in the middle: nothing of the results is kept."""
    ExplanationJob.objects.select_for_update().only("id").get(pk=job.pk)  # a checkpoint waits, or is deleted with them
    discarded = job.results.count()
    job.results.all().delete()
    facts = {"discarded": discarded}
    return _ended(job, State.VERSION_CHANGED, facts=facts, reason=sentence, error=sentence, by=by)


@transaction.atomic
def cancel(job: ExplanationJob, *, reason: str = "", by: Actor) -> ExplanationJob:
    """End the job; a worker notices within a second or at its next request. Raises ``Conflict`` when it has ended."""
    return _ended(job, State.CANCELLED, reason=reason, by=by)


def _ended(
    job: ExplanationJob,
    state: State,
    *,
    facts: Mapping[str, Any] | None = None,
    reason: str = "",
    error: str = "",
    by: Actor,
) -> ExplanationJob:
    changes = {"ended": timezone.now(), "retry_at": None} | ({"error": error[:2000]} if error else {})
    LIFECYCLE.transition(job, state, facts=facts, reason=reason[:2000], changes=changes, by=by)
    signals.explanation_ended.send(sender=ExplanationJob, job=job, by=by)
    return job


@transaction.atomic
def pause(job: ExplanationJob, *, reason: str = "", by: Actor) -> ExplanationJob:
    """Let nobody work on it until somebody resumes it; finished rows are kept. Raises ``Conflict``."""
    changes = {"retry_at": None, "silent_since": None, "silent_rows": None}
    LIFECYCLE.transition(job, State.PAUSED, reason=reason[:2000], changes=changes, by=by)
    return job


@transaction.atomic
def resume(job: ExplanationJob, *, by: Actor) -> ExplanationJob:
    """Queue a paused job again. Raises ``Conflict`` when it is not paused."""
    LIFECYCLE.transition(job, State.QUEUED, by=by)
    _announce(job)
    return job


@transaction.atomic
def wait(job: ExplanationJob, sentence: str, *, code: str, by: Actor) -> ExplanationJob:
    """The endpoint does not answer: try again later, until it has been silent for a day. Finished rows are kept.

    The entry has the code only, as that of ``fail``. Raises ``Conflict`` when the job no longer runs.
    """
    now = timezone.now()
    stored, done = ExplanationJob.objects.select_for_update().get(pk=job.pk), job.results.count()
    since = now if stored.silent_since is None or stored.silent_rows != done else stored.silent_since
    elapsed = now - since
    if elapsed > LONGEST_WAIT:
        return fail(job, sentence, code="endpoint.silent_for_a_day", by=by)
    retry_at = now + min(max(elapsed / 4, SHORTEST_RETRY), LONGEST_RETRY)
    facts = {"code": code, "retry_at": retry_at.isoformat(timespec="seconds")}
    changes = {"retry_at": retry_at, "error": sentence[:2000], "silent_since": since, "silent_rows": done}
    LIFECYCLE.transition(job, State.WAITING, facts=facts, changes=changes, by=by)
    return job
