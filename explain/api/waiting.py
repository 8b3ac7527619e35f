"""The answer with one row's explanation in it: the request waits after its job was recorded, outside every transaction.

A web process scores nothing: the job goes to the workers like every other, under the endpoint's limits and with its
entries in the log, and the request looks for its end. No more than ``EXPLANATION_WAITERS`` requests of a process do so;
for the rest, and when the time is over, the answer stays 202 with the job's address. What is kept for an
Idempotency-Key is that first answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.renderers import JSONRenderer

from explain import queries
from explain.api.serializers import LONGEST_WAIT, DetailSerializer
from explain.models import OPEN, ExplanationJob

#: Seconds between two looks.
_PACE = 0.1
#: Seconds after which a caller for whom there was no place, or no time, may look for the job.
_AGAIN = 2
_PLACES = threading.BoundedSemaphore(settings.EXPLANATION_WAITERS)


def wait_for(response: HttpResponseBase, job_id: int, *, seconds: float) -> None:
    """Called by a view whose job is recorded: its answer may wait ``seconds`` for its end, ``LONGEST_WAIT`` at most."""
    response._explained = (job_id, min(seconds, LONGEST_WAIT))  # type: ignore[attr-defined]


class ExplainedMiddleware:
    """Stands outside IdempotencyMiddleware, which keeps answers in a transaction that no worker sees into."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        wanted: tuple[int, float] | None = getattr(response, "_explained", None)
        if wanted is None or response.status_code != 202:
            return response
        response["Retry-After"] = str(_AGAIN)
        if connection.in_atomic_block or not _PLACES.acquire(blocking=False):
            return response
        try:
            return _answer(response, *wanted)
        finally:
            _PLACES.release()


def _answer(response: HttpResponseBase, job_id: int, seconds: float) -> HttpResponseBase:
    ends = time.monotonic() + seconds
    while ExplanationJob.objects.filter(pk=job_id, state__in=OPEN).exists():
        left = ends - time.monotonic()
        if left <= 0:
            return response
        time.sleep(min(_PACE, left))
    body = JSONRenderer().render(DetailSerializer(queries.find(job_id)).data)
    headers = {"Cache-Control": "no-store", "Location": response["Location"]}
    return HttpResponse(body, content_type="application/json", headers=headers)
