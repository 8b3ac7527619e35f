"""One explanation: how its job stands, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from audit.queries import history
from audit.refusals import NotKnown
from explain import queries, receipts, sentences
from explain.methods.quality import certain_ranks
from explain.models import ExplanationJob, ExplanationRow, State
from explain.pages import figures, spoken
from explain.pages.access import may
from explain.pages.shown import Shown, shown, unit_of
from explain.staleness import standing_now

#: Rows of the table on the page; the rest is a page further.
PER_PAGE = 100


@require_safe
def explanation(request: HttpRequest, job_id: int) -> HttpResponse:
    """One explanation; ``?row=<id>`` chooses the row that is shown alone, ``?feature=<name>`` that of the dependence,
    ``?columns=all`` unfolds groups. htmx asks for the progress only.
    """
    may(request, "explain.read")
    job = queries.find(job_id)
    if getattr(request, "htmx", False) and request.GET.get("part") == "progress":
        return _progress(request, job)
    rows = queries.results(job)
    context: dict[str, Any] = _standing(request, job, rows)
    if job.state == State.FINISHED:
        context |= _figures(request, job, rows) | _proof(job)
    return render(request, "explain/explanation_detail.html", context)


def _progress(request: HttpRequest, job: ExplanationJob) -> HttpResponse:
    context = _pace(job)
    response = render(request, "explain/explanation_progress.html", context)
    # a paused job waits for a person: nothing changes by itself
    if not job.open or request.GET.get("state", job.state) != job.state:
        response["HX-Refresh"] = "true"
    return response


def _pace(job: ExplanationJob) -> dict[str, Any]:
    progress = queries.progress(job)
    return {"job": job, "progress": progress, "time_left": sentences.duration(progress.seconds_left)}


def _standing(request: HttpRequest, job: ExplanationJob, rows: Sequence[ExplanationRow]) -> dict[str, Any]:
    """What is said of every job, whatever came of it."""
    return _pace(job) | {
        "rows": rows[:PER_PAGE],
        "more_rows": max(len(rows) - PER_PAGE, 0),
        "conclusion": sentences.conclusion(job),
        "quality": sentences.quality(job, rows),
        "faults": [sentences.WORDS.get(fault, fault) for fault in job.receipt.get("faults", {})],
        "algorithm": sentences.algorithm(job.algorithm),
        "because": sentences.because(job),
        "agreement": sentences.agreement(job),
        "repeated_by": list(job.repeated_by.order_by("-id").values_list("pk", "state")[:5]),
        "history": history(job.subject),
        "may_request": request.user.has_perm("explain.request"),
        "estimate": job.settings.get("estimate") or {},
        "unit": unit_of(job),
    }


def _proof(job: ExplanationJob) -> dict[str, Any]:
    """Whether it still speaks about what is there, and still is what was recorded."""
    return {
        "mismatches": receipts.problems(job),
        "receipt_text": json.dumps(job.receipt, ensure_ascii=False, indent=2),
        "freshness": standing_now(job),
    }


def _figures(request: HttpRequest, job: ExplanationJob, rows: Sequence[ExplanationRow]) -> dict[str, Any]:
    grouped = bool(job.settings.get("groups"))
    folded = request.GET.get("columns") != "all"
    data = shown(job, rows, folded=folded)
    chosen = _chosen(request, rows)
    found: dict[str, Any] = {"chosen": chosen, "grouped": grouped, "folded": folded}
    if data is None:
        return found
    if chosen is None:
        chosen = next(row for row in rows if row.row_id == data.ids[0])
        found["chosen"] = chosen
    place = data.place(chosen.row_id)
    drawn = [(f"figure-{name}", figure) for name, figure in figures.overall(data)]
    found |= {"overall": drawn, "feature_names": _features(data)}
    if len(data.ids) > 1 and not data.lime:
        feature = _feature(request, data)
        if feature is not None:
            found["dependence"] = figures.dependence_figure(data, feature)
            found["feature"] = data.names[feature]
        found["decision"] = figures.decision_figure(data, place)
    if place is not None:
        found["single"] = figures.row_figure(data, place)
        phi, se = data.phi[place], data.se[place]
        found["certainty"] = sentences.certainty(certain_ranks(phi, se), phi.tolist(), data.names)
        found["row_sentence"] = spoken.told(data, place)
    return found


def _chosen(request: HttpRequest, rows: Sequence[ExplanationRow]) -> ExplanationRow | None:
    """The row of the address. Raises ``NotKnown`` for one that the job does not have."""
    wanted = request.GET.get("row")
    chosen = next((row for row in rows if row.row_id == wanted), None)
    if wanted and chosen is None:
        raise NotKnown(_("This explanation has no row “%(id)s”.") % {"id": wanted[:64]}, code="explanation.row_unknown")
    return chosen


def _features(data: Shown) -> list[str]:
    """Features that have a value of their own, the most important first."""
    order = (-abs(data.phi).mean(axis=0)).argsort(kind="stable")
    return [data.names[j] for j in order if data.columns[j]]


def _feature(request: HttpRequest, data: Shown) -> int | None:
    """The feature of the dependence figure: that of the address, else the most important. Raises ``NotKnown``."""
    names = _features(data)
    wanted = request.GET.get("feature")
    if wanted and wanted not in names:
        raise NotKnown(
            _("This explanation has no feature “%(name)s”.") % {"name": wanted[:64]}, code="explanation.feature_unknown"
        )
    name = wanted or (names[0] if names else None)
    return None if name is None else data.names.index(name)


@require_safe
def receipt(request: HttpRequest, job_id: int) -> HttpResponse:
    """The receipt as a file."""
    may(request, "explain.read")
    job = queries.find(job_id)
    if not job.receipt:
        raise NotKnown(_("This explanation is not finished, so it has no receipt."), code="explanation.no_receipt")
    body = json.dumps({"receipt": job.receipt, "digest": job.receipt_digest}, ensure_ascii=False, indent=2)
    response = HttpResponse(body, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="explanation-{job.pk}-receipt.json"'
    return response
