"""A run as a page: what it read, what it made, with which parameters and metrics."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit import queries as audit_queries
from registry import runs
from registry.pages.access import readable
from registry.pages.lineage_picture import picture_of
from registry.runs import RunDetail


@readable
def run_detail(request: HttpRequest, run_id: str) -> HttpResponse:
    """One training run, or a job's run that OpenLineage reported."""
    detail = runs.run_detail(run_id)
    context = {
        "detail": detail,
        "run": detail.run,
        "conclusion": _conclusion(detail),
        "picture": picture_of(detail.run.subject, "both", 2),
        "rows": audit_queries.history(detail.run.subject, limit=20),
    }
    return render(request, "registry/run_detail.html", context)


def _conclusion(detail: RunDetail) -> str:
    """The first sentence; a run that names no data set taught nobody knows what."""
    data = sum(each.startswith("dataset:") for each in detail.inputs)
    made = ", ".join(each.partition(":")[2] for each in detail.outputs)
    if not data:
        first = _("It names no data set that it read, so nobody knows what was learned.")
    else:
        first = ngettext("It read %(n)d data set.", "It read %(n)d data sets.", data) % {"n": data}
    second = _("It made %(made)s.") % {"made": made} if made else _("Nothing that is registered came of it.")
    return f"{first} {second}"
