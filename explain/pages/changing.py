"""What a person may do with a job: cancel, pause, resume, run again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from audit.refusals import BadInput, Conflict, Refused
from explain import jobs, queries
from explain.pages.access import may


@require_POST
def cancel(request: HttpRequest, job_id: int) -> HttpResponse:
    """Cancel a job that has not ended; one that has is shown as it is."""
    return _change(request, job_id, jobs.cancel, reason=request.POST.get("reason", "")[:2000])


@require_POST
def pause(request: HttpRequest, job_id: int) -> HttpResponse:
    """Let nobody work on a job until somebody resumes it."""
    return _change(request, job_id, jobs.pause, reason=request.POST.get("reason", "")[:2000])


@require_POST
def resume(request: HttpRequest, job_id: int) -> HttpResponse:
    """Queue a paused job again."""
    return _change(request, job_id, jobs.resume)


def _change(request: HttpRequest, job_id: int, change: Callable[..., Any], **words: Any) -> HttpResponse:
    actor = may(request, "explain.request")
    job = queries.find(job_id)
    try:
        change(job, by=actor, **words)
    except Conflict as refusal:
        # somebody, or a worker, was faster: the page shows how it stands now
        messages.warning(request, refusal.sentence)
    return redirect(job)


@require_POST
def rerun(request: HttpRequest, job_id: int) -> HttpResponse:
    """Ask the very same again, with the same seed or with the one of the form."""
    actor = may(request, "explain.request")
    job = queries.find(job_id)
    text = request.POST.get("seed", "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadInput(_("The seed is a whole number from 0."), code="explanation.seed")
    try:
        again = jobs.rerun(job, seed=int(text) if text else None, by=actor)
    except (Conflict, Refused) as refusal:
        messages.error(request, refusal.sentence)
        return redirect(job)
    return redirect(again)
