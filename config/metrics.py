"""``/metrics`` for Prometheus. No label names a person.

Request counters live in each web process. With several workers set ``PROMETHEUS_MULTIPROC_DIR`` to an empty folder
before they start: prometheus-client then adds them up at the scrape. Gauges are read from the database at the scrape,
so they are right with any number of processes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

REQUESTS = Counter("countersign_http_requests_total", "Requests answered.", ["view", "method", "status"])
SECONDS = Histogram(
    "countersign_http_request_seconds",
    "Time from the first middleware to the answer, in seconds.",
    ["view"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class MetricsMiddleware:
    """Counts and times every request under the name of its route: a closed set, unlike its path."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        start = time.perf_counter()
        response = self.get_response(request)
        view = request.resolver_match.view_name if request.resolver_match else "unmatched"
        method = request.method if request.method in _METHODS else "other"
        REQUESTS.labels(view=view or "unnamed", method=method, status=str(response.status_code)).inc()
        SECONDS.labels(view=view or "unnamed").observe(time.perf_counter() - start)
        return response


class DatabaseGauges(Collector):
    """Gauges read from the database when Prometheus asks."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """A database that does not answer is itself a gauge, never an error page for Prometheus."""
        reachable = GaugeMetricFamily("countersign_database_up", "1 when the database answered this scrape.")
        try:
            gauges = [*_log_gauges(), *_witness_gauges(), _jobs_gauge()]
            reachable.add_metric([], 1)
        except DatabaseError:
            gauges = []
            reachable.add_metric([], 0)
        yield reachable
        yield from gauges


def _log_gauges() -> list[GaugeMetricFamily]:
    from audit.health import log_head

    head = log_head()
    return [
        GaugeMetricFamily("countersign_log_size", "Entries that have their index.", value=head.size),
        GaugeMetricFamily("countersign_log_signed_size", "Entries under a checkpoint.", value=head.signed_size),
        GaugeMetricFamily("countersign_log_pending", "Entries that wait for their index.", value=head.pending),
    ]


def _witness_gauges() -> list[GaugeMetricFamily]:
    from audit.log import log_id
    from audit.witnesses import queries
    from audit.witnesses.configuration import PolicyUnusable

    working = GaugeMetricFamily(
        "countersign_witness_working", "1 when the witness cosigned when it was last asked.", labels=["witness"]
    )
    signed = GaugeMetricFamily(
        "countersign_witness_signed_seconds", "Time of its newest cosignature since 1970.", labels=["witness"]
    )
    try:
        for state in queries.status(log_id()):
            working.add_metric([state.name], float(state.state == "working"))
            signed.add_metric([state.name], state.signed_at.timestamp() if state.signed_at else 0)
    except PolicyUnusable:
        return []
    newest = queries.newest_witnessed(log_id())
    size = GaugeMetricFamily(
        "countersign_witnessed_size", "Entries under a cosigned checkpoint.", value=newest.size if newest else 0
    )
    return [working, signed, size]


def _jobs_gauge() -> GaugeMetricFamily:
    from explain.models import ExplanationJob

    counts = ExplanationJob.objects.order_by().values_list("state").annotate(Count("id"))
    gauge = GaugeMetricFamily("countersign_explanation_jobs", "Explanation jobs by state.", labels=["state"])
    for state, count in counts:
        gauge.add_metric([state], count)
    return gauge


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' exposition format; open like the health pages: numbers only, nothing about a person or a model."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        parts = [generate_latest(registry)]
    else:
        parts = [generate_latest(REGISTRY)]
    gauges = CollectorRegistry()
    gauges.register(DatabaseGauges())
    parts.append(generate_latest(gauges))
    connection.close_if_unusable_or_obsolete()
    return HttpResponse(b"".join(parts), content_type=CONTENT_TYPE_LATEST)
