"""Asking for an explanation: first what it would cost, then the question itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from audit.refusals import Refusal
from explain import drawing, inputs, jobs, queries, sentences, tables
from explain.digests import digest
from explain.estimates import Estimate
from explain.models import ExplanationJob
from explain.pages.access import may
from explain.pages.forms import RequestForm, written_groups
from registry.models import Endpoint, ModelVersion
from registry.queries import version_by_subject


@require_http_methods(["GET", "HEAD", "POST"])
def request_explanation(request: HttpRequest) -> HttpResponse:
    """The form; ``?version=<subject>`` chooses its endpoint, ``?like=<id>`` asks what an earlier one asked.

    The first step says what it costs. The second asks, and only what was estimated: a form that changed in between is
    estimated again.
    """
    actor = may(request, "explain.request")
    version = version_by_subject(request.GET["version"]) if request.GET.get("version") else None
    if request.method != "POST":
        return _page(request, RequestForm(initial=_initial(request, version)), version)
    form = RequestForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form, version, status=422)
    try:
        endpoint, asked = form.cleaned_data["endpoint"], _asked(form)
        cost = jobs.estimate(endpoint.version, endpoint, **asked)  # first: what it refuses has no digest either
        question = digest([endpoint.pk, {name: _plain(value) for name, value in asked.items()}])
        known = request.POST.get("estimated", "")
        if request.POST.get("step") == "request" and known == question:
            return redirect(jobs.request(endpoint.version, endpoint, by=actor, **asked))
    except Refusal as refusal:
        _at_fields(form, refusal)
        return _page(request, form, version, status=422)
    # an uploaded file is not sent a second time: what it held goes on as text
    sent = request.POST.copy()
    for name in ("rows", "background"):
        sent[name] = form.cleaned_data[name]
    form.data = sent
    return _page(request, form, version, cost=cost, question=question, changed=bool(known and known != question))


def _page(
    request: HttpRequest,
    form: RequestForm,
    version: ModelVersion | None,
    *,
    cost: Estimate | None = None,
    question: str = "",
    changed: bool = False,
    status: int = 200,
) -> HttpResponse:
    context = {"form": form, "version": version, "estimate": cost, "question": question, "changed": changed}
    if cost is not None:
        context |= {
            "cost_sentence": sentences.cost(cost),
            "algorithm": sentences.algorithm(cost.algorithm),
            "time_likely": sentences.duration(cost.seconds_likely),
        }
    return render(request, "explain/explanation_request.html", context, status=status)


def _asked(form: RequestForm) -> dict[str, Any]:
    """The words of the question. Raises ``BadInput`` with the field."""
    endpoint: Endpoint = form.cleaned_data["endpoint"]
    schema = endpoint.version.schema
    column = form.cleaned_data["subject_column"].strip()
    read = {
        name: tables.read(form.cleaned_data[name], field=name, schema=schema, named=column)
        for name in ("rows", "background")
        if form.cleaned_data[name].strip()
    }
    rows, background = tables.with_ids(read.get("rows", [])), read.get("background", [])
    subjects: dict[str, str] = {}
    behind = tables.behind(background, column, field="background")
    if column:
        rows, subjects = _without(rows, column)
        background = [
            {name: value for name, value in row.items() if name != column} if isinstance(row, Mapping) else row
            for row in background
        ]
    given = {**form.asked(), "rows": rows, "background": background, "subjects": subjects}
    given["background_subjects"] = behind
    return drawing.into(endpoint.version, {**given, "draw": form.draw()})


def _without(rows: Mapping[str, Mapping[str, Any]], column: str) -> tuple[dict[str, Mapping[str, Any]], dict[str, str]]:
    """The rows without the column that names the person, and whom each is about. Raises ``BadInput``."""
    left: dict[str, Mapping[str, Any]] = {}
    subjects: dict[str, str] = {}
    for row_id, row in rows.items():
        subjects[row_id] = tables.person(row, column, row_id, field="subject_column")
        left[row_id] = {name: value for name, value in row.items() if name != column}
    return left, subjects


def _plain(value: Any) -> Any:
    return str(value) if value.__class__.__name__ == "Decimal" else value


def _at_fields(form: RequestForm, refusal: Refusal) -> None:
    """What is wrong, at its field where the form has it."""
    renamed = {"draw": "dataset"}
    given = {renamed.get(name, name): text for name, text in getattr(refusal, "fields", {}).items()}
    fields = {name: text for name, text in given.items() if name in form.fields}
    for name, text in fields.items():
        form.add_error(name, text)
    if not fields:
        form.add_error(None, refusal.sentence)


def _initial(request: HttpRequest, version: ModelVersion | None) -> dict[str, Any]:
    initial: dict[str, Any] = {}
    if version is not None and (served := queries.endpoints().filter(version=version).first()):
        initial["endpoint"] = served
    like = request.GET.get("like", "")
    if like.isascii() and like.isdigit() and len(like) < 10:
        job = queries.find(int(like))
        initial = _like(job) | initial
    return initial


def _like(job: ExplanationJob) -> dict[str, Any]:
    """What an earlier question asked; erased rows are gone from it."""
    rows = [
        {"id": row.id, "values": dict(zip(job.names, row.cells, strict=True))}
        for row in inputs.rows_of(job)
        if row.cells is not None
    ]
    behind = [list(row.cells) for row in inputs.background_of(job) if row.cells is not None]
    asked = job.settings
    return {
        "endpoint": job.endpoint,
        "method": job.method,
        "level": asked.get("level", "standard"),
        "rows": json.dumps(rows, ensure_ascii=False),
        "background": json.dumps({"columns": job.names, "data": behind}, ensure_ascii=False),
        "sample": asked.get("sample"),
        "algorithm": asked.get("algorithm", "auto") if job.method != "lime" else "auto",
        "scale": job.output.get("scale", ""),
        "groups": written_groups(asked.get("groups")),
        "seed": job.seed,
    }
