"""Runs and lineage edges: recorded once, never changed, never closing a circle that ``MAY_CIRCLE`` does not allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict
from registry import naming
from registry.lineage.graph import Edge, cycle_closed_by
from registry.models import MAY_CIRCLE, Dataset, EdgeKind, LineageEdge, ModelVersion, Run
from registry.queries import edges_from

#: kind -> (table of the source, table of the target)
ENDS: dict[str, tuple[str, str]] = {
    "derived": ("dataset", "dataset"),
    "input": ("dataset", "run"),
    "output": ("run", "version"),
    "trained": ("dataset", "version"),
    "tuned": ("version", "version"),
    "wrote": ("run", "dataset"),
}
#: Key of the advisory lock that the trigger of migration 0002 takes too: edges are checked one transaction at a time.
LOCK = 7_203_114


@transaction.atomic
def register_run(
    run_id: str,
    *,
    tracking_server: str,
    contributors: Iterable[str],
    name: str = "",
    params: Mapping[str, str] | None = None,
    metrics: Mapping[str, Any] | None = None,
    started: datetime | None = None,
    ended: datetime | None = None,
    evidence: str = "",
    by: Actor,
) -> Run:
    """Add a run; the same run id again answers the stored one and writes nothing.

    ``evidence`` is the digest of what it was learned from, for its entry.
    """
    stored = Run.objects.filter(run_id=run_id).first()
    if stored is not None:
        return stored
    people = naming.people(contributors, field="contributors")
    run = Run(
        run_id=naming.name(run_id, field="run_id"),
        tracking_server=tracking_server,
        name=name[:250],
        contributors=people,
        params={str(key): str(value) for key, value in (params or {}).items()},
        metrics=naming.metrics(metrics),
        started=started,
        ended=ended,
    )
    run.save()
    log.append(
        Event.RUN_REGISTERED,
        run,
        facts={"tracking_server": tracking_server, "metrics": run.metrics, **_told(evidence)},
        private={"contributors": ", ".join(people)},
        by=by,
    )
    return run


@transaction.atomic
def record_edge(
    source: Dataset | Run | ModelVersion, target: Dataset | Run | ModelVersion, *, by: Actor
) -> LineageEdge:
    """Record data flow from ``source`` to ``target``; the same edge again answers the stored one.

    Raises ``Conflict`` when it would close a circle (naming it), ``BadInput`` when such an edge means nothing.
    """
    kind = _kind(source, target)
    from_subject, to_subject = source.subject, target.subject
    _one_at_a_time()
    stored = LineageEdge.objects.filter(source=from_subject, target=to_subject, kind=kind).first()
    if stored is not None:
        return stored
    downstream = () if kind in MAY_CIRCLE else edges_from(to_subject, "downstream")
    circle = cycle_closed_by([edge for edge in downstream if edge.kind not in MAY_CIRCLE], from_subject, to_subject)
    if circle and kind not in MAY_CIRCLE:
        raise Conflict(
            _("Data would flow in a circle: %(circle)s.") % {"circle": " → ".join((from_subject, *circle))},
            code="lineage.cycle",
        )
    return _insert(Edge(from_subject, to_subject, kind), "", by)


@transaction.atomic
def record_edges(wanted: Iterable[Edge], *, evidence: str = "", by: Actor) -> int:
    """Record those of ``wanted`` that are new, and say how many; their ends are registered.

    Two queries, and two for each new one.

    Raises ``IntegrityError`` (the trigger of migration 0006) for one that closes a circle which is not allowed.
    """
    _one_at_a_time()
    listed = set(wanted)
    stored = LineageEdge.objects.filter(
        source__in={edge.source for edge in listed}, target__in={edge.target for edge in listed}
    )
    known = {Edge(*row) for row in stored.values_list("source", "target", "kind")}
    new = sorted(listed - known)
    for edge in new:
        _insert(edge, evidence, by)
    return len(new)


def _one_at_a_time() -> None:
    """Nobody else records an edge until this transaction ends: what is missing now is missing when it commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def _insert(edge: Edge, evidence: str, by: Actor) -> LineageEdge:
    row = LineageEdge(source=edge.source, target=edge.target, kind=edge.kind)
    row.save(force_insert=True)
    told = {"source": edge.source, "target": edge.target, "kind": edge.kind, **_told(evidence)}
    log.append(Event.LINEAGE_RECORDED, row, facts=told, by=by)
    return row


def _told(evidence: str) -> dict[str, str]:
    return {"evidence": evidence} if evidence else {}


def _kind(source: Dataset | Run | ModelVersion, target: Dataset | Run | ModelVersion) -> str:
    ends = (source.subject.partition(":")[0], target.subject.partition(":")[0])
    for kind, allowed in ENDS.items():
        if ends == allowed:
            return str(EdgeKind(kind))
    sentence = _("Data does not flow from a %(source)s to a %(target)s here.") % {"source": ends[0], "target": ends[1]}
    raise BadInput(sentence, code="lineage.ends", fields={"target": sentence})
