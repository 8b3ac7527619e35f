"""What OpenLineage's events change here: data sets, runs and edges, the same in whatever order they come.

Edges come from runs that have a COMPLETE event, and then from everything that the run's events name but those of ABORT
and FAIL: producers tell a run's inputs at its start and its outputs at its end. Before that, nothing is recorded; what
was recorded is never taken back. Events of jobs and data sets register data sets and their claims, and no flow: nothing
has run yet. Each run is one transaction; the entries name the digest of the event that completed it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from audit.actors import Actor
from audit.advisory import claimed
from audit.refusals import Refusal
from registry.lineage import edges
from registry.lineage.graph import Edge
from registry.models import Dataset, OpenLineageEvent, OpenLineageName, OpenLineageOutcome, OutcomeState, Run
from registry.sources import claims
from registry.sources.openlineage_events import Identity, Mention, Read, read
from registry.sources.openlineage_names import OWN, key_of, name_of

logger = logging.getLogger(__name__)

#: First key of the advisory lock («olin» in ASCII): one process applies at a time.
LOCK = 0x6F6C696E
#: Events that are looked at together.
ROUND = 200


def apply_waiting() -> int:
    """Apply every event that waits; returns how many. 0 at once while another process does it.

    What a database that is away or busy prevents is left waiting and raised.
    """
    done = 0
    with claimed(LOCK, 0) as mine:
        while mine and (waiting := _waiting()):
            for group in _groups(waiting):
                _settle(group)
                done += len(group)
    return done


def _waiting() -> list[OpenLineageEvent]:
    numbers = OpenLineageOutcome.objects.filter(state=OutcomeState.WAITING).order_by("event_id")
    numbers = numbers.values_list("event_id", flat=True)[:ROUND]
    return list(OpenLineageEvent.objects.filter(pk__in=list(numbers)).order_by("pk"))


def _groups(events: Iterable[OpenLineageEvent]) -> Iterator[list[OpenLineageEvent]]:
    """The events of one run together, every other one by itself."""
    runs: dict[str, list[OpenLineageEvent]] = {}
    for event in events:
        if event.run_id:
            runs.setdefault(event.run_id, []).append(event)
        else:
            yield [event]
    yield from runs.values()


def _settle(events: Sequence[OpenLineageEvent]) -> None:
    """Apply and note what became of them. An event that can never be applied stands in nobody's way."""
    outcomes = OpenLineageOutcome.objects.filter(event__in=events)
    try:
        with transaction.atomic():
            problems = _apply_run(events) if events[0].run_id else _apply_static(events[0])
            outcomes.update(state=OutcomeState.APPLIED, problems=problems)
    except (OperationalError, InterfaceError):
        raise
    except (Refusal, DatabaseError, ValueError) as error:
        logger.warning("OpenLineage's event %s cannot be applied", events[0].digest, exc_info=error)
        sentence = error.sentence if isinstance(error, Refusal) else str(error)[:500]
        outcomes.update(state=OutcomeState.FAILED, problems=[sentence])


def _apply_run(new: Sequence[OpenLineageEvent]) -> list[str]:
    run_id = new[0].run_id
    stored = Run.objects.filter(run_id=run_id).first()
    every = (
        list(new) if stored else list(OpenLineageEvent.objects.filter(run_id=run_id).order_by("event_time", "digest"))
    )
    complete = next((event for event in every if event.event_type == "COMPLETE"), None)
    if stored is None and complete is None:
        return []
    evidence = complete or new[0]
    by = _actor(evidence.actor_id)
    told = [read(bytes(event.body)) for event in every]
    if stored is None:
        stored = _register_run(read(bytes(evidence.body)), told, evidence, by)
    problems: list[str] = []
    wanted: set[Edge] = set()
    for event in told:
        if not event.counts:
            continue
        for mention in event.inputs:
            wanted |= _read_by(stored, _recorded(mention, evidence, problems, by))
        for mention in event.outputs:
            wanted |= _written_by(stored, _recorded(mention, evidence, problems, by))
            for identity in mention.columns_of:
                column = Mention(identity, {}, (), ())
                wanted |= _read_by(stored, _recorded(column, evidence, problems, by))
    edges.record_edges(wanted, evidence=evidence.digest, by=by)
    return list(dict.fromkeys(problems))


def _apply_static(event: OpenLineageEvent) -> list[str]:
    problems: list[str] = []
    by, told = _actor(event.actor_id), read(bytes(event.body))
    wanted = {
        edge for each in (*told.inputs, *told.outputs) for edge in _recorded(each, event, problems, by).identity_edges
    }
    edges.record_edges(wanted, evidence=event.digest, by=by)
    return problems


class _Recorded:
    """Subjects of one mention: the data set, its version when one was named, the edges between its names."""

    def __init__(self, dataset: str, version: str, identity_edges: set[Edge]) -> None:
        self.dataset = dataset
        self.version = version
        self.identity_edges = identity_edges


def _read_by(run: Run, found: _Recorded) -> set[Edge]:
    """A version comes from its data set (``identity_edges``), so whoever read the version has both upstream."""
    return {Edge(found.version or found.dataset, run.subject, "input"), *found.identity_edges}


def _written_by(run: Run, found: _Recorded) -> set[Edge]:
    """Whoever reads the data set later, without a version, gets what was written as one: both were written."""
    ends = {found.dataset, found.version} - {""}
    return {Edge(run.subject, end, "wrote") for end in ends} | found.identity_edges


def _recorded(mention: Mention, event: OpenLineageEvent, problems: list[str], by: Actor) -> _Recorded:
    """Register or make stricter what the mention names, under each of its names, with its claims."""
    identity = mention.identity
    base = _dataset(Identity(identity.namespace, identity.name), mention, event, problems, by)
    found: set[Edge] = set()
    for other in mention.symlinks:
        same = _dataset(other, mention, event, problems, by)
        if same.subject != base.subject:
            found |= {Edge(base.subject, same.subject, "same"), Edge(same.subject, base.subject, "same")}
    if not identity.version:
        return _Recorded(base.subject, "", found)
    version = _dataset(identity, mention, event, problems, by, facts_of=base)
    return _Recorded(base.subject, version.subject, found | {Edge(base.subject, version.subject, "derived")})


def _dataset(
    identity: Identity,
    mention: Mention,
    event: OpenLineageEvent,
    problems: list[str],
    by: Actor,
    facts_of: Dataset | None = None,
) -> Dataset:
    """The data set of ``identity``. A new version takes its table's facts as claims: unknown stays unknown."""
    name = name_of(identity)
    known = Dataset.objects.filter(name=name).first()
    if known is not None and (not mention.tags or known.confirmed):
        return _named(identity, known, event)
    tags = dict(mention.tags)
    if known is None and facts_of is not None:
        tags = _inherited(facts_of) | tags
    claim = claims.described(name, tags, digest=identity.version[:128], source_uri=_address(identity)[:1000])
    problems += claim.problems
    return _named(identity, claims.settle(claim, by=by), event)


def _inherited(base: Dataset) -> dict[str, str]:
    """What is known of a table, as tags; what is unknown is no tag."""
    tags = {
        "classification": base.classification,
        "subjects": ",".join(base.subjects),
        "regions": ",".join(base.regions),
    }
    return {name: value for name, value in tags.items() if value}


def _named(identity: Identity, dataset: Dataset, event: OpenLineageEvent) -> Dataset:
    """Remember what the producer calls it. Raises ``ValueError`` when two identities have one name."""
    if identity.namespace == OWN and dataset.name == identity.name:
        return dataset
    given = {"digest": event.digest, "producer": event.producer, "dataset_name": dataset.name}
    given |= {"namespace": identity.namespace, "name": identity.name, "version": identity.version}
    stored, _new = OpenLineageName.objects.get_or_create(key=key_of(identity), defaults=given)
    if stored.dataset_name != dataset.name:
        raise ValueError(f"{stored.dataset_name} and {dataset.name} are one data set")
    return dataset


def _address(identity: Identity) -> str:
    return f"{identity.namespace.rstrip('/')}/{identity.name.lstrip('/')}"


def _register_run(told: Read, every: Sequence[Read], event: OpenLineageEvent, by: Actor) -> Run:
    """A run's trainers are the job's owners and the account that reported it: who did the work may not sign it off."""
    began: list[datetime] = [each.event_time for each in every if each.event_type == "START"]
    owners = [owner for each in every for owner in each.owners]
    return edges.register_run(
        event.run_id,
        tracking_server=told.producer[:400],
        contributors=[*owners, _username(event.actor_id)],
        name=told.job_name[:250],
        params={"job.namespace": told.job_namespace, "job.name": told.job_name},
        started=min(began, default=None),
        ended=event.event_time,
        evidence=event.digest,
        by=by,
    )


def _actor(identifier: str) -> Actor:
    """Who brought the event. An account that is gone meanwhile keeps its pseudonym."""
    account = _account(identifier)
    return account.actor if account is not None else Actor(id=identifier, name=identifier)  # type: ignore[attr-defined]


def _username(identifier: str) -> str:
    account = _account(identifier)
    return account.get_username() if account is not None else identifier


def _account(identifier: str):  # type: ignore[no-untyped-def]
    kind, _colon, number = identifier.partition(":")
    return get_user_model().objects.filter(uuid=UUID(number)).first() if kind in ("user", "service") else None
