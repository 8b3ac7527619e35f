"""Evidence that a machine makes: an explanation that ended as evidence goes on record by itself, and off it again.

Nobody says anything by it: it is recorded by the worker that computed, never in the name of whoever asked, so that no
rule takes it for the report of an independent person. It counts at once and needs no second person, because everybody
can run its receipt again; and it is withdrawn at once when that is no longer so.
"""

from __future__ import annotations

from datetime import timedelta
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
    paper = evidence.Paper(
        digest=job.receipt_digest,
        title=f"{job.subject} ({job.method.upper()}, {job.receipt['rows']} × {job.asked_background}, {job.algorithm})",
        author=WORKER.id,
        issued_at=job.ended,
        expires_at=job.ended + LASTS,
    )
    evidence.record(EvidenceType.EXPLANATION, job.version, paper, made_for=job.digest, by=WORKER)


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
    active = Evidence.objects.filter(type=EvidenceType.EXPLANATION, state=EvidenceState.ACTIVE)
    gone = []
    for job in ExplanationJob.objects.filter(receipt_digest__in=active.values("digest")).order_by("pk"):
        if problems := receipts.problems(job):
            said = TAMPERED.format(subject=job.subject, problems=" ".join(problems))
            gone += withdraw(evidence_of(job), said, by=by)
    return gone


@transaction.atomic
def withdraw(row: Evidence | None, reason: str, *, by: Actor) -> list[str]:
    """Withdraw the piece, if there is one; its reference."""
    return [] if row is None else [evidence.withdraw(row.reference, reason=reason[:4000], by=by).reference]
