"""What OpenLineage's events change here: data sets, runs and edges, the same in whatever order they come.

Edges come from runs that have a COMPLETE event, and then from everything that the run's events name but those of ABORT
and FAIL: producers tell a run's inputs at its start and its outputs at its end. Before that, nothing is recorded; what
was recorded is never taken back. Events of jobs and data sets register data sets and their claims, and no flow: nothing
has run yet. Each run is one transaction; the entries name the digest of the event that completed it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from audit.actors import Actor
from audit.advisory import claimed
from audit.refusals import Refusal
from registry.lineage import edges
from registry.lineage.graph import Edge
from registry.models import OpenLineageEvent, OpenLineageOutcome, OutcomeState, Run
from registry.sources.openlineage_datasets import Recorder
from registry.sources.openlineage_events import Mention, Read, read

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
    waiting = OpenLineageOutcome.objects.filter(state=OutcomeState.WAITING).order_by("event_id")
    return [each.event for each in waiting.select_related("event")[:ROUND]]


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
    every = list(new)
    if stored is None:
        every = list(OpenLineageEvent.objects.filter(run_id=run_id).order_by("event_time", "digest"))
    complete = next((event for event in every if event.event_type == "COMPLETE"), None)
    if stored is None and complete is None:
        return []
    evidence = complete or new[0]
    by, username = _reporter(evidence.actor_id)
    told = [read(bytes(event.body)) for event in every]
    if stored is None:
        _register_run(told[every.index(evidence)], told, evidence, username, by)
    counted = [event for event in told if event.counts]
    recorder = Recorder(evidence, by)
    recorder.look_up(mention for event in counted for mention in (*event.inputs, *event.outputs))
    run, wanted = f"run:{run_id}", set[Edge]()
    for event in counted:
        for mention in event.inputs:
            wanted |= recorder.record(mention).read_by(run)
        for mention in event.outputs:
            wanted |= recorder.record(mention).written_by(run)
            for identity in mention.columns_of:
                wanted |= recorder.record(Mention(identity, {}, (), ())).read_by(run)
    edges.record_edges(wanted, evidence=evidence.digest, by=by)
    return list(dict.fromkeys(recorder.problems))


def _apply_static(event: OpenLineageEvent) -> list[str]:
    by, _username = _reporter(event.actor_id)
    told, recorder = read(bytes(event.body)), Recorder(event, by)
    mentions = (*told.inputs, *told.outputs)
    recorder.look_up(mentions)
    edges.record_edges({edge for each in mentions for edge in recorder.record(each).same}, evidence=event.digest, by=by)
    return list(dict.fromkeys(recorder.problems))


def _register_run(told: Read, every: Sequence[Read], event: OpenLineageEvent, username: str, by: Actor) -> None:
    """A run's people are the job's owners and the account that reported it: who did the work may not sign it off."""
    began = [each.event_time for each in every if each.event_type == "START"]
    owners = [owner for each in every for owner in each.owners]
    edges.register_run(
        event.run_id,
        tracking_server=told.producer[:400],
        contributors=[*owners, username],
        name=told.job_name[:250],
        params={"job.namespace": told.job_namespace, "job.name": told.job_name},
        started=min(began, default=None),
        ended=event.event_time,
        evidence=event.digest,
        by=by,
    )


def _reporter(identifier: str) -> tuple[Actor, str]:
    """Who brought the event, and their username. An account that is gone meanwhile keeps its pseudonym."""
    kind, _colon, number = identifier.partition(":")
    if kind in ("user", "service"):
        account: Any = get_user_model().objects.filter(uuid=UUID(number)).first()
        if account is not None:
            return account.actor, account.get_username()
    return Actor(id=identifier, name=identifier), identifier
