"""Evidence from analyses: fairness with true outcomes and drift go on record by themselves, and off it again.

As with explanations (``governance.explained``): the worker records it, and it counts as long as what it stands on does.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from audit.actors import Actor
from explain import analyses, receipts
from explain.jobs import WORKER
from explain.models import Analysis, ExplanationJob, Standing
from governance import explained
from governance.models.evidence import Evidence, EvidenceState, EvidenceType

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
    title = f"{analysis.subject} ({analysis.kind}, {', '.join(each.subject for each in analysis.jobs)})"
    explained.put_on_record(type, job, title, receipt=analysis.receipt_digest, ended=analysis.ended)


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
    gone = []
    finished = Analysis.objects.select_related("first", "second")
    for row in explained.recorded_by_machine(*TYPES.values()):
        analysis = finished.filter(first__version=row.version_id, receipt_digest=row.digest).first()
        if analysis is None:
            gone += explained.withdraw(row, explained.LOST, by=by)
            continue
        faults = [*analyses.problems(analysis), *(each for job in analysis.jobs for each in receipts.problems(job))]
        if faults:
            said = explained.TAMPERED.format(subject=analysis.subject, problems=" ".join(faults))
            gone += explained.withdraw(row, said, by=by)
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
