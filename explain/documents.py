"""What explanations add to an export of the log: the receipts of finished jobs, by the digest in their entries."""

from __future__ import annotations

from collections.abc import Iterator

from audit.exports.sources import Document, Wanted
from explain.digests import canonical
from explain.models import ExplanationJob, State

_PIECE = 200


def documents(wanted: Wanted) -> Iterator[Document]:
    """The receipt of each wanted, finished job: the bytes whose digest the entry «explanation.finished» holds."""
    jobs = ExplanationJob.objects.filter(state=State.FINISHED).only("id", "receipt").order_by("id")
    ids = wanted.ids("explain_explanationjob")
    if ids is None:
        for job in jobs.iterator(_PIECE):
            yield Document("explanations", canonical(job.receipt))
        return
    for start in range(0, len(ids), _PIECE):
        for job in jobs.filter(pk__in=ids[start : start + _PIECE]):
            yield Document("explanations", canonical(job.receipt))
