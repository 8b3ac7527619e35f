"""What differs between the record and what was seen: a pure function of two frozen snapshots.

A difference has a key made of what it is about and of what was seen, so the same difference has the same key in every
look, and another one (the alias moved on, the endpoint serves a third version) has another. What could not be looked at
is never taken for agreement: it is a place of its own, and no earlier difference there counts as gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from registry.reconciling.snapshots import (
    Answer,
    Observed,
    Outcome,
    Recorded,
    RecordedEndpoint,
    RecordedVersion,
    Served,
    Source,
    SourceVersion,
    Webhooks,
)

#: What was approved may wait this long for its deployment.
APPROVED_GRACE = timedelta(hours=24)
#: A delivery may come this much later than the poll that found the change.
DELIVERY_GRACE = timedelta(minutes=5)


class Kind(StrEnum):
    """What can differ."""

    RUNNING_UNAPPROVED = "running_unapproved"
    ANSWERS_OTHERWISE = "answers_otherwise"
    ALIAS_MOVED = "alias_moved"
    DELETED_THERE = "deleted_there"
    SOURCE_CHANGED = "source_changed"
    NEVER_DEPLOYED = "never_deployed"
    MISSED_WEBHOOK = "missed_webhook"
    ENDPOINT_UNREACHABLE = "endpoint_unreachable"
    SOURCE_UNREADABLE = "source_unreadable"
    NO_LONGER_LAWFUL = "no_longer_lawful"
    MUST_BE_REPLACED = "must_be_replaced"


#: What other apps find and settle themselves (``settle_lawful`` and ``settle_told`` of ``registry.findings``): no
#: look of the reconciler sees it.
TOLD_FROM_ABOVE = (Kind.NO_LONGER_LAWFUL, Kind.MUST_BE_REPLACED)
#: These say that nothing is known, not that something differs.
NOT_SEEN = (Kind.ENDPOINT_UNREACHABLE, Kind.SOURCE_UNREADABLE)


class State(StrEnum):
    """What is known of one place; only ``AGREES`` is fine."""

    AGREES = "agrees"
    DIFFERS = "differs"
    CANNOT_TELL = "cannot_tell"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. ``detail`` tells it from others of the same kind about the same subject.

    ``scope`` names what has to be looked at before its absence means that it is gone (``Comparison.covers``).
    """

    kind: Kind
    subject: str
    scope: str
    detail: tuple[str, ...] = ()
    version: str = ""
    environment: str = ""
    recorded: Mapping[str, str] = field(default_factory=dict)
    observed: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """64 hexadecimal digits, the same for the same difference."""
        named = json.dumps([self.kind.value, self.subject, *self.detail], ensure_ascii=False)
        return hashlib.sha256(named.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """A served model, or a deployment that nobody can ask (``endpoint`` is empty), and what is known of it."""

    endpoint: str
    environment: str
    model: str
    recorded: tuple[str, ...]
    said: str
    state: State
    why: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences, every place that was looked at, and what could not be looked at."""

    differences: tuple[Difference, ...]
    places: tuple[Place, ...]
    source_read: bool
    unread_servers: tuple[str, ...]
    told: frozenset[str]
    registered: frozenset[str]

    def covers(self, scope: str) -> bool:
        """Whether this look could have seen a difference of ``scope``, had it still been there."""
        what, _colon, name = scope.partition(":")
        if what == "reported":
            return name in self.told or name not in self.registered
        return self.source_read if what == "source" else True

    def agreed_with(self, other: Comparison) -> Comparison:
        """This comparison with those differences only that ``other`` has as well."""
        keys = {each.key for each in other.differences}
        return replace(self, differences=tuple(each for each in self.differences if each.key in keys))

    @property
    def complete(self) -> bool:
        """Whether every place and every source was really looked at; only then may «no differences» be said."""
        known = all(place.state in (State.AGREES, State.DIFFERS) for place in self.places)
        unread = any(each.kind == Kind.SOURCE_UNREADABLE for each in self.differences)
        return known and not unread and not self.unread_servers


def compare(recorded: Recorded, observed: Observed) -> Comparison:
    """Everything in which ``observed`` differs from ``recorded``."""
    answers = {answer.endpoint: answer for answer in observed.answers}
    looked = [_endpoint(each, answers.get(each.name), recorded) for each in recorded.endpoints]
    differences = [each for found, _place in looked for each in found]
    for source in observed.sources:
        differences += _source(recorded, source)
    differences += _never_deployed(recorded, observed.at)
    differences += _missed_webhook(recorded.webhooks, observed.at)
    unread = {
        each.server
        for each in recorded.versions
        if each.server and not any(_is_of(each, source) for source in observed.sources)
    }
    return Comparison(
        differences=tuple(sorted(differences, key=lambda each: (each.kind, each.subject, each.detail))),
        places=(*(place for _found, place in looked), *_unasked(recorded)),
        source_read=bool(observed.sources) and not any(source.problem for source in observed.sources),
        unread_servers=tuple(sorted(unread)),
        told=frozenset(name for name, answer in answers.items() if answer.outcome == Outcome.TOLD),
        registered=frozenset(each.name for each in recorded.endpoints),
    )


def _endpoint(endpoint: RecordedEndpoint, answer: Answer | None, recorded: Recorded) -> tuple[list[Difference], Place]:
    open_here = [
        each for each in recorded.serving if each.environment == endpoint.environment and each.model == endpoint.model
    ]
    found: list[Difference] = []
    said = ""
    if answer is not None and answer.outcome == Outcome.TOLD:
        running = _running(endpoint, answer, recorded)
        said = ", ".join(running)
        found += _not_approved(endpoint, running, answer, open_here) or _otherwise(endpoint, running, answer)
        state = State.DIFFERS if found else State.AGREES
    else:
        found += _registered_only(endpoint, open_here)
        state = State.DIFFERS if found else State.CANNOT_TELL
        if answer is None or answer.outcome == Outcome.UNREACHABLE:
            found.append(_unreachable(endpoint, answer))
            state = State.UNREACHABLE
    labels = tuple(sorted(each.version for each in open_here))
    why = answer.why if answer else "not_asked"
    return found, Place(endpoint.name, endpoint.environment, endpoint.model, labels, said, state, why)


def _running(endpoint: RecordedEndpoint, answer: Answer, recorded: Recorded) -> tuple[str, ...]:
    """What the answer says that runs, as subjects of versions; a digest that is not on record stands for itself."""
    if not answer.digest:
        name = answer.name or endpoint.model
        return tuple(f"version:{name}/{number}" for number in answer.versions)
    known = [each for each in recorded.versions if each.digest == answer.digest]
    known.sort(key=lambda each: (each.model != endpoint.model, each.subject != endpoint.version, each.number))
    named = [each for each in known if str(each.number) in answer.versions]
    return ((named or known)[0].subject,) if known else (answer.digest,)


def _not_approved(
    endpoint: RecordedEndpoint, running: tuple[str, ...], answer: Answer, open_here: list[Served]
) -> list[Difference]:
    """The digest is authoritative where one was told; else the numbers are all there is."""
    if answer.digest and any(each.digest == answer.digest for each in open_here):
        return []
    approved = {each.version for each in open_here}
    return [
        _running_unapproved(endpoint, each, open_here, basis="reported", digest=answer.digest)
        for each in running
        if answer.digest or each not in approved
    ]


def _registered_only(endpoint: RecordedEndpoint, open_here: list[Served]) -> list[Difference]:
    """It does not say what it serves, but what it was registered with is on no open deployment."""
    if any(each.version == endpoint.version for each in open_here):
        return []
    return [_running_unapproved(endpoint, endpoint.version, open_here, basis="registered", digest=endpoint.digest)]


def _running_unapproved(
    endpoint: RecordedEndpoint, running: str, open_here: list[Served], *, basis: str, digest: str
) -> Difference:
    return Difference(
        Kind.RUNNING_UNAPPROVED,
        f"endpoint:{endpoint.name}",
        f"{basis}:{endpoint.name}",
        (running,),
        version=running if running.startswith("version:") else "",
        environment=endpoint.environment,
        recorded={"serving": ", ".join(sorted(each.version for each in open_here))},
        observed={"version": running, "digest": digest, "basis": basis},
    )


def _otherwise(endpoint: RecordedEndpoint, running: tuple[str, ...], answer: Answer) -> list[Difference]:
    """What runs is approved here, but it is not what this endpoint was registered with, or it contradicts itself."""
    same_name = answer.name in ("", endpoint.model)
    claimed = tuple(f"version:{endpoint.model}/{number}" for number in answer.versions)
    contradicts = bool(answer.digest and same_name and claimed and not set(running) & set(claimed))
    digest_agrees = not answer.digest or answer.digest == endpoint.digest
    if endpoint.version in running and digest_agrees and not contradicts:
        return []
    said = {"version": ", ".join(running), "digest": answer.digest, "claimed": ", ".join(claimed)}
    return [
        Difference(
            Kind.ANSWERS_OTHERWISE,
            f"endpoint:{endpoint.name}",
            f"reported:{endpoint.name}",
            (*running, answer.digest, *claimed),
            version=endpoint.version,
            environment=endpoint.environment,
            recorded={"version": endpoint.version, "digest": endpoint.digest},
            observed=said,
        )
    ]


def _unreachable(endpoint: RecordedEndpoint, answer: Answer | None) -> Difference:
    return Difference(
        Kind.ENDPOINT_UNREACHABLE,
        f"endpoint:{endpoint.name}",
        f"reach:{endpoint.name}",
        version=endpoint.version,
        environment=endpoint.environment,
        recorded={"version": endpoint.version},
        observed={"why": answer.why if answer else "not_asked", "detail": answer.detail if answer else ""},
    )


def _unasked(recorded: Recorded) -> Iterator[Place]:
    """Open deployments of models that have no endpoint in their environment: nobody can ask what runs."""
    asked = {(each.environment, each.model) for each in recorded.endpoints}
    for each in sorted(
        set(recorded.serving) - {s for s in recorded.serving if (s.environment, s.model) in asked},
        key=lambda each: (each.environment, each.version),
    ):
        yield Place("", each.environment, each.model, (each.version,), "", State.CANNOT_TELL, "no_endpoint")


def _source(recorded: Recorded, source: Source) -> list[Difference]:
    if source.problem:
        seen = {"problem": source.problem}
        return [Difference(Kind.SOURCE_UNREADABLE, f"source:{source.name}", "reach:source", observed=seen)]
    return [*_aliases(recorded, source), *_versions(recorded, source)]


def _aliases(recorded: Recorded, source: Source) -> Iterator[Difference]:
    for alias in recorded.aliases:
        if alias.model not in source.models:
            continue  # said once, of the model
        number = source.aliases.get((alias.model, alias.name), "")
        there = f"version:{alias.model}/{number}" if number else ""
        ours = there in alias.untold.versions
        if there != alias.version and not (ours and alias.untold.waits):
            yield Difference(
                Kind.ALIAS_MOVED,
                f"alias:{alias.model}/{alias.name}",
                "source:mlflow",
                (there,),
                version=there or alias.version,
                recorded={"version": alias.version},
                observed={"version": there, **({"why": "not_told"} if ours else {})},
            )


def _versions(recorded: Recorded, source: Source) -> Iterator[Difference]:
    ours = [each for each in recorded.versions if _is_of(each, source)]
    for model in sorted({each.model for each in ours} - source.models):
        yield Difference(Kind.DELETED_THERE, f"model:{model}", "source:mlflow")
    for each in ours:
        if each.model not in source.models:
            continue
        there = source.versions.get((each.model, each.number))
        if there is None:
            yield Difference(Kind.DELETED_THERE, each.subject, "source:mlflow", version=each.subject)
        elif _remade(each, there):
            yield Difference(
                Kind.SOURCE_CHANGED,
                each.subject,
                "source:mlflow",
                (there.source, there.run_id),
                version=each.subject,
                recorded={"source": each.source, "run": each.run_id},
                observed={"source": there.source, "run": there.run_id},
            )


def _is_of(ours: RecordedVersion, source: Source) -> bool:
    """Whether the version came from this server, which may have another address by now: its source is an id."""
    there = source.versions.get((ours.model, ours.number))
    return ours.server == source.address or bool(ours.server and ours.source and there and there.source == ours.source)


def _remade(ours: RecordedVersion, there: SourceVersion) -> bool:
    """A model that was deleted in MLflow and made again counts from 1 again. What we never knew cannot differ."""
    other_run = bool(ours.run_id and there.run_id and ours.run_id != there.run_id)
    return bool(ours.source) and (there.source != ours.source or other_run)


def _never_deployed(recorded: Recorded, at: datetime) -> Iterable[Difference]:
    return [
        Difference(
            Kind.NEVER_DEPLOYED,
            each.subject,
            "approvals",
            (each.what, each.version, each.environment),
            version=each.version,
            environment=each.environment,
            recorded={"what": each.what, "since": each.since.isoformat()},
        )
        for each in recorded.approvals
        if at - each.since > APPROVED_GRACE
    ]


def _missed_webhook(webhooks: Webhooks, at: datetime) -> list[Difference]:
    """The poll found a change, and since the look before it no delivery had come."""
    since, found = webhooks.change_since, webhooks.change_found
    if not webhooks.set_up or since is None or found is None or at - found <= DELIVERY_GRACE:
        return []
    if webhooks.last_delivery is not None and webhooks.last_delivery >= since:
        return []
    last = webhooks.last_delivery.isoformat() if webhooks.last_delivery else ""
    seen = {"last_delivery": last, "change_found": found.isoformat()}
    return [Difference(Kind.MISSED_WEBHOOK, "source:mlflow", "webhooks", observed=seen)]
