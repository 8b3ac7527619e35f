"""What explanations add to an export of the log: the receipts of what finished, by the digest in their entries."""

from __future__ import annotations

from collections.abc import Iterator

from audit.exports.sources import Document, Wanted
from explain.digests import canonical
from explain.models import Analysis, AnalysisState, ExplanationJob, State

_PIECE = 200


def documents(wanted: Wanted) -> Iterator[Document]:
    """The receipt of each wanted, finished job and analysis: the bytes whose digest the entry that ended it holds."""
    jobs = ExplanationJob.objects.filter(state=State.FINISHED)
    analyses = Analysis.objects.filter(state=AnalysisState.FINISHED)
    for kind, rows in (("explanations", jobs), ("analyses", analyses)):
        finished = rows.only("id", "receipt").order_by("id")
        ids = wanted.ids(rows.model._meta.db_table)
        if ids is None:
            for row in finished.iterator(_PIECE):
                yield Document(kind, canonical(row.receipt))
            continue
        for start in range(0, len(ids), _PIECE):
            for row in finished.filter(pk__in=ids[start : start + _PIECE]):
                yield Document(kind, canonical(row.receipt))
