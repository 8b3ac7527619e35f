"""Pages of explanations: they read, and translate a form into a call."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.actors import Actor
from audit.queries import history
from audit.refusals import Conflict, NotKnown, Refusal
from explain import jobs, queries, receipts, sentences, tables
from explain.models import ExplanationJob, State
from explain.pages.figures import importance_figure, row_figure
from explain.pages.forms import RequestForm
from registry.models import ModelVersion
from registry.pages.paging import page_of
from registry.queries import version_by_subject


def _may(request: HttpRequest, action: str) -> Actor:
    """The signed-in actor. Raises ``NotPermitted`` when the rule table does not give them ``action``."""
    user: Any = request.user
    user.require(action)
    actor: Actor = user.actor
    return actor


@require_safe
def explanations(request: HttpRequest) -> HttpResponse:
    """All explanations, newest first; ``?version=<subject>`` narrows."""
    _may(request, "explain.read")
    found, version = queries.jobs(), None
    if subject := request.GET.get("version", ""):
        version = version_by_subject(subject)
        found = found.filter(version=version)
    page = page_of(found, request, 25)
    context = {"page": page, "version": version, "may_request": request.user.has_perm("explain.request")}
    return render(request, "explain/explanation_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def request_explanation(request: HttpRequest) -> HttpResponse:
    """The form; ``?version=<subject>`` chooses its endpoint, ``?like=<id>`` asks what an earlier one asked."""
    actor = _may(request, "explain.request")
    version = version_by_subject(request.GET["version"]) if request.GET.get("version") else None
    form = RequestForm(request.POST or None, request.FILES or None, initial=_initial(request, version))
    status = 200
    if request.method == "POST":
        job = _requested(form, actor) if form.is_valid() else None
        if job is not None:
            return redirect(job)
        status = 422
    return render(request, "explain/explanation_request.html", {"form": form, "version": version}, status=status)


def _requested(form: RequestForm, actor: Actor) -> ExplanationJob | None:
    """The new job, or ``None`` with the reasons in the form."""
    endpoint = form.cleaned_data["endpoint"]
    try:
        rows = tables.read(form.text_of("rows"), field="rows", schema=endpoint.version.schema)
        background = tables.read(form.text_of("background"), field="background", schema=endpoint.version.schema)
        return jobs.request(
            endpoint.version,
            endpoint,
            method=form.cleaned_data["method"],
            rows=tables.with_ids(rows),
            background=background,
            seed=form.cleaned_data["seed"],
            tol=form.cleaned_data["tol"],
            by=actor,
        )
    except UnicodeDecodeError:
        form.add_error(None, _("The file is not text in UTF-8."))
    except Refusal as refusal:
        fields = {name: text for name, text in getattr(refusal, "fields", {}).items() if name in form.fields}
        for name, text in fields.items():
            form.add_error(name, text)
        if not fields:
            form.add_error(None, refusal.sentence)
    return None


def _initial(request: HttpRequest, version: ModelVersion | None) -> dict[str, Any]:
    initial: dict[str, Any] = {}
    if version is not None:
        initial["endpoint"] = queries.endpoints().filter(version=version).first()
    like = request.GET.get("like", "")
    if like.isascii() and like.isdigit() and len(like) < 10:
        job = queries.find(int(like))
        rows = [{"id": row["id"], "values": dict(zip(job.names, row["cells"], strict=True))} for row in job.rows]
        initial |= {
            "endpoint": initial.get("endpoint") or job.endpoint,
            "method": job.method,
            "rows": json.dumps(rows, ensure_ascii=False),
            "background": json.dumps({"columns": job.names, "data": job.background}, ensure_ascii=False),
            "tol": job.tol.normalize(),
            "seed": job.seed,
        }
    return initial


@require_safe
def explanation(request: HttpRequest, job_id: int) -> HttpResponse:
    """One explanation; ``?row=<id>`` chooses the row of the waterfall. htmx asks for the progress only."""
    _may(request, "explain.read")
    job = queries.find(job_id)
    context: dict[str, Any] = {"job": job, "progress": queries.progress(job)}
    if getattr(request, "htmx", False) and request.GET.get("part") == "progress":
        response = render(request, "explain/explanation_progress.html", context)
        if not job.open:
            response["HX-Refresh"] = "true"
        return response
    rows = queries.results(job)
    if job.state == State.FINISHED:
        context |= _figures(request, job, rows)
        context["mismatches"] = receipts.problems(job)
        context["receipt_text"] = json.dumps(job.receipt, ensure_ascii=False, indent=2)
    context |= {
        "rows": rows,
        "conclusion": sentences.conclusion(job),
        "quality": sentences.quality(job, rows),
        "faults": [sentences.WORDS.get(fault, fault) for fault in job.receipt.get("faults", {})],
        "history": history(job.subject),
        "may_request": request.user.has_perm("explain.request"),
    }
    return render(request, "explain/explanation_detail.html", context)


def _figures(request: HttpRequest, job: ExplanationJob, rows: list[Any]) -> dict[str, Any]:
    good = [row for row in rows if not row.problem]
    wanted = request.GET.get("row")
    chosen = next((row for row in rows if row.row_id == wanted), None)
    if wanted and chosen is None:
        raise NotKnown(_("This explanation has no row “%(id)s”.") % {"id": wanted[:64]}, code="explanation.row_unknown")
    chosen = chosen or (good[0] if good else None)
    found: dict[str, Any] = {"chosen": chosen}
    if good:
        found["overall"] = importance_figure(job, good)
    if chosen is not None and not chosen.problem:
        found["single"] = row_figure(job, chosen)
        found["certainty"] = sentences.certainty(chosen, job.names)
    return found


@require_POST
def cancel(request: HttpRequest, job_id: int) -> HttpResponse:
    """Cancel a waiting or running job; one that has ended is shown as it is."""
    actor = _may(request, "explain.request")
    job = queries.find(job_id)
    try:
        jobs.cancel(job, reason=request.POST.get("reason", "")[:2000], by=actor)
    except Conflict:
        if job.open:
            raise
    return redirect(job)


@require_safe
def receipt(request: HttpRequest, job_id: int) -> HttpResponse:
    """The receipt as a file."""
    _may(request, "explain.read")
    job = queries.find(job_id)
    if not job.receipt:
        raise NotKnown(_("This explanation is not finished, so it has no receipt."), code="explanation.no_receipt")
    body = json.dumps({"receipt": job.receipt, "digest": job.receipt_digest}, ensure_ascii=False, indent=2)
    response = HttpResponse(body, content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="explanation-{job.pk}-receipt.json"'
    return response
