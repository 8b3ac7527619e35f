"""``/healthz``: the process answers. ``/readyz``: it can do its work.

``/readyz`` answers 503 when the database, the migrations or the head of the log is not in order: then no decision can
be made or recorded. An absent broker is reported as ``failed`` with the overall word ``degraded`` but answers 200: the
gate answers without it and jobs wait, so a load balancer must not take the server away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from audit.health import log_head
from audit.log import log_id
from audit.witnesses import freshness

logger = logging.getLogger(__name__)

#: Seconds to wait for the broker.
BROKER_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """``word`` is ``passed`` or ``failed``; ``vital`` says whether a failure makes the server unready."""

    word: str
    sentence: str
    vital: bool = True


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the process serves requests; asks nobody else."""
    return JsonResponse({"state": "passed", "sentence": _("The server answers.")})


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 ``ready`` or ``degraded``, 503 ``unready``; every check as a word and a sentence."""
    findings = examine()
    failed = [finding for finding in findings.values() if finding.word == "failed"]
    state = "unready" if any(finding.vital for finding in failed) else "degraded" if failed else "ready"
    document = {
        "state": state,
        "checks": {name: {"state": found.word, "sentence": found.sentence} for name, found in findings.items()},
    }
    return JsonResponse(document, status=503 if state == "unready" else 200)


def examine() -> dict[str, Finding]:
    """Every check; what needs the database is not tried when it does not answer."""
    findings = {"database": _database(), "broker": _broker()}
    if findings["database"].word == "passed":
        findings["migrations"] = _guarded(_migrations)
        findings["log"] = _guarded(_log)
        findings["witnesses"] = _guarded(_witnesses)
    return findings


def _database() -> Finding:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return Finding("failed", _("The database does not answer."))
    return Finding("passed", _("The database answers."))


def _broker() -> Finding:
    """Opens and closes one connection to ``CELERY_BROKER_URL``, without retries."""
    from kombu.connection import Connection

    address = str(settings.CELERY_BROKER_URL)
    if not address:
        return Finding("failed", _("No broker is configured: set CELERY_BROKER_URL. Jobs wait."), vital=False)
    options = {"socket_connect_timeout": BROKER_PATIENCE, "socket_timeout": BROKER_PATIENCE}
    try:
        with Connection(  # type: ignore[no-untyped-call]
            address, connect_timeout=BROKER_PATIENCE, transport_options=options
        ) as broker:
            broker.ensure_connection(max_retries=1, timeout=BROKER_PATIENCE, interval_start=0, interval_step=0)
            broker.default_channel.close()
    except Exception as error:  # kombu's transports raise what their libraries raise; none of it may break /readyz
        logger.warning("the broker does not answer: %s", type(error).__name__)  # its text may hold the address
        sentence = _("The broker does not answer. The gate works without it; jobs wait until it is back.")
        return Finding("failed", sentence, vital=False)
    return Finding("passed", _("The broker answers."))


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except DatabaseError:
        return Finding("failed", _("The database refused the question; see the server's log."))


def _migrations() -> Finding:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _backwards in waiting[:5])
        return Finding("failed", _("%(count)d migrations wait: %(names)s.") % {"count": len(waiting), "names": names})
    return Finding("passed", _("Every migration is applied."))


def _log() -> Finding:
    head = log_head()
    return Finding("passed" if head.ok else "failed", head.sentence)


def _witnesses() -> Finding:
    """Not vital: the server works without them, but nobody outside can vouch for the log then."""
    fresh = freshness.of_log(log_id())
    return Finding("failed" if fresh.ok is False else "passed", fresh.sentence, vital=False)
