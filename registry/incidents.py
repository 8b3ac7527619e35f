"""Incidents: opened, frozen, lifted or closed, each step an entry; and which of them hold a version, and why.

One person freezes, because stopping must be easy; another lifts. What is frozen is not a copied list alone: a version
is held when it was reached at the freeze, or is reached by its lineage now, so a model that learns from the root
tomorrow is held tomorrow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.lifecycle import Lifecycle
from audit.merkle import canonical
from audit.models.events import Event
from audit.refusals import BadInput, NotKnown, NotPermitted
from registry import dependencies, naming
from registry.dependencies import Dependency
from registry.lineage import roots
from registry.lineage.graph import paths
from registry.models import Dataset, Environment, Incident, IncidentState, ModelVersion
from registry.queries import edges_from

INCIDENTS = Lifecycle(
    field="state",
    transitions={
        (IncidentState.OPEN.value, IncidentState.FROZEN.value): Event.INCIDENT_FROZEN,
        (IncidentState.FROZEN.value, IncidentState.LIFTED.value): Event.INCIDENT_LIFTED,
        (IncidentState.OPEN.value, IncidentState.CLOSED.value): Event.INCIDENT_CLOSED,
    },
)
#: First half of the advisory lock's key («inci» in ASCII); the second is 0: one lock for every incident.
LOCK = int.from_bytes(b"inci")
#: Versions that the entry of a freeze names; the row names all, and the entry has their digest.
NAMED = 200


@dataclass(frozen=True, slots=True)
class Hold:
    """One incident that reaches a version. ``path`` leads from the version to the incident's root, both included."""

    incident: Incident
    path: tuple[str, ...]

    @property
    def counts(self) -> bool:
        """True while it is frozen: a lifted incident is told and forbids nothing."""
        return self.incident.state == IncidentState.FROZEN


@transaction.atomic
def open_incident(title: str, *, root: str, since: datetime, reason: str, by: Actor) -> Incident:
    """Put on record that ``root`` is unlawful or broken since ``since``; it holds nothing until it is frozen.

    Raises ``BadInput`` for a missing title or reason, a moment without a zone or in the future, and a root of no known
    kind; ``NotKnown`` for a root that the registry does not have.
    """
    now = timezone.now()
    said = naming.text(reason, field="reason", limit=4000)
    named = naming.text(title, field="title", limit=200)
    _must_be_past(since, now)
    roots.of(root)
    number = Incident.next_number()
    incident = Incident(
        pk=number,
        reference=f"INC-{now:%Y}-{number:04d}",
        title=named,
        reason=said,
        root=root,
        since=since,
        opened_by=by.id,
        opened_at=now,
    )
    incident.save(force_insert=True)
    log.append(
        Event.INCIDENT_OPENED,
        incident,
        facts={"root": root, "since": since.isoformat()},
        private={"title": named},
        reason=said,
        by=by,
    )
    return incident


@transaction.atomic
def freeze(reference: str, *, reason: str, by: Actor) -> Incident:
    """Hold every version that the root has reached, and every one that it will reach. Raises ``Conflict`` when it was
    frozen or ended before, ``BadInput`` without a reason.
    """
    said = naming.text(reason, field="reason", limit=4000)
    incident = find(reference, lock=True)
    _lock("pg_advisory_xact_lock")
    held = roots.held(roots.of(incident.root))
    facts = {
        "root": incident.root,
        "since": incident.since.isoformat(),
        "held": len(held),
        "held_digest": "sha256:" + hashlib.sha256(canonical.encode(held)).hexdigest(),
        "versions": held[:NAMED],
    }
    changes = {"frozen_by": by.id, "frozen_at": timezone.now(), "frozen_reason": said, "held": held}
    INCIDENTS.transition(incident, IncidentState.FROZEN, facts=facts, reason=said, changes=changes, by=by)
    return incident


@transaction.atomic
def lift(reference: str, *, reason: str, by: Actor) -> Incident:
    """End a freeze. Raises ``NotPermitted`` for the person who froze it, ``Conflict`` when it is not frozen."""
    incident = find(reference, lock=True)
    if incident.state == IncidentState.FROZEN and incident.frozen_by == by.id:
        raise NotPermitted(
            _("You froze this incident; a second person must lift it."), code="incident.lifted_by_the_same_person"
        )
    return _end(incident, IncidentState.LIFTED, reason, {"frozen_by": incident.frozen_by}, by)


@transaction.atomic
def close(reference: str, *, reason: str, by: Actor) -> Incident:
    """End an incident that was never frozen. Raises ``Conflict`` for one that was."""
    return _end(find(reference, lock=True), IncidentState.CLOSED, reason, {}, by)


def find(reference: str, *, lock: bool = False) -> Incident:
    """The incident with this reference. Raises ``NotKnown``."""
    rows = Incident.objects.select_for_update() if lock else Incident.objects.all()
    found: Incident | None = rows.filter(reference=reference).first()
    if found is None:
        raise NotKnown(_("There is no incident %(id)s.") % {"id": reference[:40]}, code="incident.unknown")
    return found


def no_freeze_until_commit() -> None:
    """Let every freeze wait for the caller's transaction, after those that are under way have ended.

    Who records that a version serves calls this before it asks what holds the version: without it a freeze could commit
    between that question and the deploy, and the deploy would be recorded on an answer that is no longer true.
    """
    _lock("pg_advisory_xact_lock_shared")


def _lock(function: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, 0)", [LOCK])


def any_counts() -> bool:
    """Whether any incident was ever frozen. Every gate check asks this, so it is one bare statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM registry_incident WHERE state IN ('frozen', 'lifted'))")
        (found,) = cursor.fetchone() or (True,)
    return bool(found)


def counting(version: str) -> QuerySet[Incident]:
    """Every incident that was ever frozen, oldest first, with ``listed``: whether ``version`` was held at the freeze.

    One query. Lifted ones are told too: a signature from before the freeze must not come back to life with the lift.
    """
    return (
        Incident.objects.filter(state__in=[IncidentState.FROZEN, IncidentState.LIFTED])
        .annotate(listed=Q(held__contains=[version]))
        .defer("held")
        .order_by("pk")
    )


def holds_on(
    rows: Iterable[Incident],
    trails: Mapping[str, tuple[str, ...]],
    regions: Mapping[str, Sequence[str]],
    version: str,
    environment: Environment | None = None,
) -> tuple[Hold, ...]:
    """Those of ``rows`` that reach ``version``, served in ``environment``. One query when one is about a library.

    ``trails`` is every subject upstream of the version with the way there (``graph.paths``), ``regions`` where each
    data set among them lies.
    """
    found, listed = [], list(rows)
    needs = _needs(trails) if any(row.root.startswith("library:") for row in listed) else {}
    for row in listed:
        if row.root.startswith("library:"):
            path = _needed(row.root, trails, needs)
        else:
            path = _path(row.root, trails, regions, version, environment)
        if not path and getattr(row, "listed", False):
            path = (version, row.root)
        if path:
            found.append(Hold(row, path))
    return tuple(found)


def holding(version: ModelVersion, environment: Environment | None = None) -> tuple[Hold, ...]:
    """The incidents that reach a version now. One query when there is none on record, five at most."""
    if not any_counts():
        return ()
    rows = list(counting(version.subject))
    trails = paths(edges_from(version.subject, "upstream"), version.subject, "upstream")
    names = [subject.removeprefix("dataset:") for subject in trails if subject.startswith("dataset:")]
    regions = {row.subject: row.regions for row in Dataset.objects.filter(name__in=names)}
    return holds_on(rows, trails, regions, version.subject, environment)


def _needs(trails: Iterable[str]) -> dict[str, list[Dependency] | None]:
    """What each version among ``trails`` needs to run; None where nobody said. One query."""
    names = {
        subject.removeprefix("version:").rpartition("/")[0] for subject in trails if subject.startswith("version:")
    }
    columns = ("model__name", "number", "dependencies")
    rows = ModelVersion.objects.filter(model__name__in=names).values_list(*columns)
    return {f"version:{name}/{number}": needs for name, number, needs in rows if f"version:{name}/{number}" in trails}


def _needed(
    root: str, trails: Mapping[str, tuple[str, ...]], needs: Mapping[str, list[Dependency] | None]
) -> tuple[str, ...]:
    """A version that may need the library, because nobody said what it needs, is held too: unknown is not fine."""
    wanted = dependencies.library(root.removeprefix("library:"))
    nodes = [node for node, each in needs.items() if wanted.unsaid_by(each) or wanted.needed_by(each or ())]
    return _shortest(trails, nodes, root)


def _path(
    root: str,
    trails: Mapping[str, tuple[str, ...]],
    regions: Mapping[str, Sequence[str]],
    version: str,
    environment: Environment | None,
) -> tuple[str, ...]:
    kind, _colon, name = root.partition(":")
    if kind == "model":
        return _shortest(trails, [each for each in trails if each.startswith(f"version:{name}/")], root)
    if kind == "region":
        through = _shortest(trails, [each for each in trails if name in regions.get(each, ())], root)
        if through or environment is None or name not in {*environment.regions, *environment.log_sinks}:
            return through
        return (version, environment.subject, root)
    return trails.get(root, ())


def _shortest(trails: Mapping[str, tuple[str, ...]], nodes: Sequence[str], root: str) -> tuple[str, ...]:
    best = min((trails[node] for node in nodes), key=lambda way: (len(way), way), default=())
    return (*best, root) if best else ()


def _end(incident: Incident, state: IncidentState, reason: str, facts: Mapping[str, object], by: Actor) -> Incident:
    said = naming.text(reason, field="reason", limit=4000)
    changes = {"ended_by": by.id, "ended_at": timezone.now(), "ended_reason": said}
    told = {"root": incident.root, **facts}
    INCIDENTS.transition(incident, state, facts=told, reason=said, changes=changes, by=by)
    return incident


def _must_be_past(since: datetime, now: datetime) -> None:
    sentence = ""
    if timezone.is_naive(since):
        sentence = _("Give the moment with its offset from UTC.")
    elif since > now:
        sentence = _("What is unlawful from a later day is not unlawful yet: name a moment that has passed.")
    if sentence:
        raise BadInput(sentence, code="incident.since", fields={"since": sentence})
