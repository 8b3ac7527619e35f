"""Evidence from analyses: fairness with true outcomes and drift go on record by themselves, and off it again.

As with explanations (``governance.explained``): the worker records it, and it counts as long as what it stands on does.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q

from audit.actors import Actor
from explain import analyses, receipts
from explain.jobs import WORKER
from explain.models import Analysis, ExplanationJob, Standing
from governance import evidence, explained
from governance.models.evidence import Evidence, EvidenceState, EvidenceType

#: How long it counts: as long as the explanations that it is made of, for it is about the same rows.
LASTS: timedelta = explained.LASTS
TYPES = {"fairness": EvidenceType.FAIRNESS, "drift": EvidenceType.DRIFT_BASELINE}


def attach(*, analysis: Analysis, by: Actor, **_signal: Any) -> None:
    """Record what a finished analysis shows, in its transaction.

    Nothing for a draft, a comparison, fairness without true outcomes (no errors were compared then), files that are
    not those of the version, and an explanation that was withdrawn meanwhile.
    """
    job, type = analysis.first, TYPES.get(analysis.kind)
    if type is None or analysis.standing != Standing.EVIDENCE or analysis.ended is None:
        return
    if type == EvidenceType.FAIRNESS and not analysis.parameters.get("labelled"):
        return
    if not job.digest or job.digest != job.version.digest:
        return
    if any(explained.evidence_of(each) is None for each in analysis.jobs):
        return
    paper = evidence.Paper(
        digest=analysis.receipt_digest,
        title=f"{analysis.subject} ({analysis.kind}, {', '.join(each.subject for each in analysis.jobs)})",
        author=WORKER.id,
        issued_at=analysis.ended,
        expires_at=analysis.ended + LASTS,
    )
    evidence.record(type, job.version, paper, made_for=job.digest, by=WORKER)


def detach(*, job: ExplanationJob, by: Actor, **_signal: Any) -> None:
    """Rows of the job were erased: withdraw what its analyses show, in the same transaction."""
    _withdraw_of(job, explained.ERASED.format(subject=job.subject), by=by)


def disagree(*, job: ExplanationJob, by: Actor, **_signal: Any) -> None:
    """A re-run that does not agree: withdraw what the analyses of the first run show, in the same transaction."""
    if job.repeats is not None and not job.receipt.get("agreement", {}).get("holds", False):
        _withdraw_of(job.repeats, explained.DISAGREED.format(again=job.subject), by=by)


def evidence_of(analysis: Analysis) -> Evidence | None:
    """The piece that the analysis put on record and that nobody withdrew. At most one query."""
    type = TYPES.get(analysis.kind)
    if type is None or not analysis.receipt_digest:
        return None
    return Evidence.objects.filter(
        version=analysis.first.version_id, type=type, digest=analysis.receipt_digest, state=EvidenceState.ACTIVE
    ).first()


def withdraw_tampered(*, by: Actor = explained.CLOCK) -> list[str]:
    """Withdraw the evidence of every analysis that no longer fits its receipt or whose explanations do not.

    The references. Safe to repeat. Raises ``subject_keys.KeysUnavailable``.
    """
    active = Evidence.objects.filter(type__in=TYPES.values(), state=EvidenceState.ACTIVE)
    gone = []
    finished = Analysis.objects.filter(receipt_digest__in=active.values("digest"))
    for analysis in finished.select_related("first", "second").order_by("pk"):
        faults = [*analyses.problems(analysis), *(each for job in analysis.jobs for each in receipts.problems(job))]
        if faults:
            said = explained.TAMPERED.format(subject=analysis.subject, problems=" ".join(faults))
            gone += explained.withdraw(evidence_of(analysis), said, by=by)
    return gone


def _withdraw_of(job: ExplanationJob, reason: str, *, by: Actor) -> None:
    resting = Analysis.objects.filter(Q(first=job) | Q(second=job)).exclude(receipt_digest="")
    for analysis in resting.select_related("first"):
        explained.withdraw(evidence_of(analysis), reason, by=by)


def subject_of(row: Evidence) -> str:
    """The analysis that put the piece on record; empty for any other. At most one query."""
    if row.type not in TYPES.values() or row.issued_by != WORKER.id:
        return ""
    found = Analysis.objects.only("id").filter(receipt_digest=row.digest, first__version=row.version_id).first()
    return found.subject if found else ""
