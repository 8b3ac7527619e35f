"""Erasing the rows of a data subject from explanations: what was asked about them, and what came of it.

The decision is one transaction with an entry for each job; afterwards the key of the subject's rows is destroyed, so
that no backup of this database opens them either. What stays is a commitment and a digest, which say nothing about the
person and keep every receipt verifiable (GDPR article 17; Federal Decree-Law 45/2021 article 15; KSA PDPL article 4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from audit import log, subject_keys
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, NotKnown
from explain import inputs, signals
from explain.models import ExplanationInput, ExplanationJob


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows of how many explanations were erased."""

    jobs: int
    rows: int


def erase_rows(data_subject: str, *, reason: str, by: Actor) -> Erased:
    """Erase everything that explanations hold about ``data_subject``, the name that the questions gave.

    Raises ``BadInput`` without a subject or a reason, ``NotKnown`` when no row is about it, ``Conflict`` while an
    explanation of it is under way.
    """
    if not data_subject.strip() or not reason.strip():
        sentence = _("Name the person as the questions did, and say why the rows go.")
        raise BadInput(sentence, code="explanation.erasure", fields={"subject": sentence})
    with transaction.atomic():
        erased, keys = _erase(inputs.pseudonyms(data_subject), reason=reason[:2000], by=by)
    subject_keys.destroy(keys)
    return erased


def _erase(subjects: list[str], *, reason: str, by: Actor) -> tuple[Erased, set[UUID]]:
    ids = set(ExplanationInput.objects.filter(subject__in=subjects).values_list("job_id", flat=True))
    jobs = list(ExplanationJob.objects.select_for_update(of=("self",)).filter(pk__in=ids).order_by("pk"))
    if not jobs:
        raise NotKnown(_("No explanation has a row about this person."), code="explanation.subject_unknown")
    if under_way := next((job for job in jobs if job.open), None):
        raise Conflict(
            _("%(subject)s is still under way with rows of this person: cancel it first.")
            % {"subject": under_way.subject},
            code="explanation.still_open",
        )
    count, keys = 0, set()
    for job in jobs:
        rows = list(job.inputs.filter(subject__in=subjects))
        keys |= {row.key_id for row in rows}
        facts = {
            "rows": [row.position for row in rows if not row.background],
            "background": [row.position for row in rows if row.background],
            "commitments": [row.commitment for row in rows],
        }
        log.append(Event.EXPLANATION_ERASED, job, facts=facts, reason=reason, by=by)
        _empty(job, rows)
        if job.error:  # it may quote a cell
            job.error = _("What ended it was erased with rows that it may have quoted.")
            job.save(update_fields=["error"])
        signals.explanation_erased.send(sender=ExplanationJob, job=job, by=by)
        count += len(rows)
    return Erased(len(jobs), count), keys


def _empty(job: ExplanationJob, rows: Iterable[ExplanationInput]) -> None:
    for row in rows:
        if row.background:
            ExplanationInput.objects.filter(pk=row.pk).update(body=None)
            continue
        name = f"erased-{row.position}"
        job.results.filter(row_id=row.row_id, erased=False).update(
            row_id=name,
            phi=[],
            se=[],
            base=None,
            fx=None,
            residual=None,
            problem="",
            diagnostics={},
            erased=True,
        )
        ExplanationInput.objects.filter(pk=row.pk).update(body=None, row_id=name)
