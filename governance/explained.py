"""Evidence that a machine makes: an explanation that ended as evidence goes on record by itself, and off it again.

Nobody says anything by it: it is recorded by the worker that computed, never in the name of whoever asked, so that no
rule takes it for the report of an independent person. It counts at once and needs no second person, because everybody
can run its receipt again; and it is withdrawn at once when that is no longer so.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from audit.actors import Actor
from explain import receipts
from explain.jobs import WORKER
from explain.models import ExplanationJob, Standing
from governance import evidence
from governance.models.evidence import Evidence, EvidenceState, EvidenceType

#: How long it counts: what a model is asked changes, so an explanation of half a year ago explains little.
LASTS = timedelta(days=180)
#: Who looks at stored explanations.
CLOCK = Actor.system("explanation-evidence")
DISAGREED = "{again} ran it again and did not agree within the stated error."
ERASED = "Rows of {subject} were erased, so nobody can run it again."
LOST = "What it was recorded for is gone, or has another receipt by now."
TAMPERED = "{subject} no longer fits its receipt: {problems}"


def attach(*, job: ExplanationJob, by: Actor, **_signal: Any) -> None:
    """Record what a job that finished shows; in its transaction. A draft shows nothing, a re-run that does not agree
    with the job that it repeats shows that the other was wrong.

    ``job.version`` without a digest gets none: nobody could say of which files it speaks.
    """
    first = job.repeats
    if first is not None and not job.receipt.get("agreement", {}).get("holds", False):
        withdraw(evidence_of(first), DISAGREED.format(again=job.subject), by=by)
        return
    if job.standing != Standing.EVIDENCE or not job.digest or job.digest != job.version.digest or job.ended is None:
        return
    title = f"{job.subject} ({job.method.upper()}, {job.receipt['rows']} × {job.asked_background}, {job.algorithm})"
    put_on_record(EvidenceType.EXPLANATION, job, title, receipt=job.receipt_digest, ended=job.ended)


def put_on_record(type: EvidenceType, job: ExplanationJob, title: str, *, receipt: str, ended: datetime) -> None:
    """Record evidence for the version of ``job``, with the digest of a receipt, in the name of the worker."""
    paper = evidence.Paper(digest=receipt, title=title, author=WORKER.id, issued_at=ended, expires_at=ended + LASTS)
    evidence.record(type, job.version, paper, made_for=job.digest, by=WORKER)


def detach(*, job: ExplanationJob, by: Actor, **_signal: Any) -> None:
    """Rows of the job were erased: withdraw its evidence, in the same transaction."""
    withdraw(evidence_of(job), ERASED.format(subject=job.subject), by=by)


def evidence_of(job: ExplanationJob) -> Evidence | None:
    """The piece that the job put on record and that nobody withdrew. One query."""
    found = Evidence.objects.filter(
        version=job.version_id, type=EvidenceType.EXPLANATION, digest=job.receipt_digest, state=EvidenceState.ACTIVE
    )
    return found.first() if job.receipt_digest else None


def subject_of(row: Evidence) -> str:
    """The explanation that put the piece on record; empty for what people recorded. At most one query."""
    if row.type != EvidenceType.EXPLANATION or row.issued_by != WORKER.id:
        return ""
    job = ExplanationJob.objects.only("id").filter(version=row.version_id, receipt_digest=row.digest).first()
    return job.subject if job else ""


def withdraw_tampered(*, by: Actor = CLOCK) -> list[str]:
    """Withdraw the evidence of every explanation whose stored data no longer fit its receipt; their references.

    Safe to repeat. Raises ``subject_keys.KeysUnavailable``: then nothing is known, and nothing withdrawn.
    """
    gone = []
    for row in recorded_by_machine(EvidenceType.EXPLANATION):
        job = ExplanationJob.objects.filter(version=row.version_id, receipt_digest=row.digest).first()
        if job is None:
            gone += withdraw(row, LOST, by=by)
        elif problems := receipts.problems(job):
            gone += withdraw(row, TAMPERED.format(subject=job.subject, problems=" ".join(problems)), by=by)
    return gone


def recorded_by_machine(*types: EvidenceType) -> list[Evidence]:
    """What workers put on record and nobody withdrew. One query."""
    found = Evidence.objects.filter(type__in=types, issued_by=WORKER.id, state=EvidenceState.ACTIVE)
    return list(found.order_by("pk"))


@transaction.atomic
def withdraw(row: Evidence | None, reason: str, *, by: Actor) -> list[str]:
    """Withdraw the piece, if there is one; its reference."""
    return [] if row is None else [evidence.withdraw(row.reference, reason=reason[:4000], by=by).reference]
