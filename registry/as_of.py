"""The registry at a moment, made of what the log says (``audit.as_of``). Pure but for ``registry_at``.

Shown as of a moment: models with title, purpose, risk and its reason; versions with digest, metrics and run; aliases;
environments with tier, regions, perimeter and places of their logs; what served where, with which share. Left out: the
names of people (owner, who trained), which lie apart from the entries so that they can be erased.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.urls import reverse
from django.utils.translation import gettext as _

from audit.as_of import AsOf, State, states
from audit.models.events import Event
from audit.refusals import NotKnown
from registry.models.deployments import SHARING_STRATEGIES, Strategy

EVENTS = (
    Event.MODEL_REGISTERED,
    Event.MODEL_CHANGED,
    Event.VERSION_REGISTERED,
    Event.ALIAS_MOVED,
    Event.ENVIRONMENT_REGISTERED,
    Event.ENVIRONMENT_CHANGED,
    Event.DEPLOYMENT_RECORDED,
    Event.ROLLBACK_RECORDED,
    Event.DEPLOYMENT_ENDED,
)
#: What is needed to say what serves where.
SERVING = (Event.DEPLOYMENT_RECORDED, Event.ROLLBACK_RECORDED, Event.DEPLOYMENT_ENDED)


@dataclass(frozen=True, slots=True)
class VersionThen:
    """A version. ``label`` is ``credit-scoring/14``."""

    model: str
    number: int
    digest: str
    run_id: str
    metrics: Mapping[str, str]
    registered: datetime

    @property
    def label(self) -> str:
        return f"{self.model}/{self.number}"


@dataclass(frozen=True, slots=True)
class DeploymentThen:
    """A deployment. ``until`` is empty while it takes traffic; ``entry`` is the index that recorded it."""

    key: str
    model: str
    version: str
    environment: str
    kind: str
    strategy: str
    weight: int
    digest: str
    since: str
    until: str
    decision_id: str
    incident: str
    recorded_by: str
    log_id: int
    entry: int

    @property
    def number(self) -> int:
        """Of the version."""
        return int(self.version.rpartition("/")[2])

    @property
    def shares(self) -> bool:
        """True when it runs beside the version that takes the rest of the traffic."""
        return self.strategy in SHARING_STRATEGIES

    @property
    def strategy_said(self) -> str:
        """The strategy in words; one that a newer version recorded as it was written."""
        return str(Strategy(self.strategy).label) if self.strategy in Strategy.values else self.strategy

    @property
    def url(self) -> str:
        """The version's page."""
        return reverse("registry:version", args=[self.model, self.number])


@dataclass(frozen=True, slots=True)
class ServingThen:
    """One version that took traffic, with its share in percent."""

    deployment: DeploymentThen
    share: int


@dataclass(frozen=True, slots=True)
class Registry:
    """What existed. Facts of models and environments by name; aliases by ``(model, name)``."""

    models: Mapping[str, State]
    versions: tuple[VersionThen, ...]
    aliases: Mapping[tuple[str, str], str]
    environments: Mapping[str, State]
    deployments: tuple[DeploymentThen, ...]

    def serving(self) -> tuple[ServingThen, ...]:
        """What took traffic, by model and environment, the version with the rest of the traffic first."""
        opened = [each for each in self.deployments if not each.until]
        taken: dict[tuple[str, str], int] = {}
        for row in opened:
            if row.shares and row.strategy != Strategy.SHADOW:
                place = (row.environment, row.model)
                taken[place] = taken.get(place, 0) + row.weight
        found = [
            ServingThen(row, row.weight if row.shares else max(0, 100 - taken.get((row.environment, row.model), 0)))
            for row in opened
        ]
        return tuple(sorted(found, key=lambda each: _order(each.deployment)))


def registry_of(found: Iterable[State]) -> Registry:
    """The registry that these states are. Pure."""
    kinds: dict[str, list[State]] = {}
    for state in found:
        kinds.setdefault(state.subject.partition(":")[0], []).append(state)
    return Registry(
        models={_name(each): each for each in kinds.get("model", [])},
        versions=tuple(sorted(map(_version, kinds.get("version", [])), key=lambda each: (each.model, -each.number))),
        aliases={_alias(each): _label(each.facts["version"]) for each in kinds.get("alias", [])},
        environments={_name(each): each for each in kinds.get("environment", [])},
        deployments=tuple(_deployment(each) for each in kinds.get("deployment", [])),
    )


def registry_at(
    as_of: AsOf,
    events: tuple[Event, ...] = EVENTS,
    *,
    of: tuple[Literal["model", "environment", "subject"], str] | None = None,
) -> Registry:
    """The registry at a moment, all of it or that of one model or environment. One query."""
    return registry_of(states(as_of, events, of=of).values())


def existing(found: Mapping[str, State], name: str, then: AsOf) -> State:
    """What is called ``name`` among what existed. Raises NotKnown that names the moment."""
    state = found.get(name)
    if state is None:
        raise NotKnown(
            _("As of %(moment)s the log knows no “%(name)s”.")
            % {"moment": then.at.strftime("%Y-%m-%d %H:%M:%S UTC"), "name": name[:128]},
            code="as_of.unknown",
        )
    return state


def _order(row: DeploymentThen) -> tuple[str, str, bool]:
    return (row.model, row.environment, row.shares)


def _name(state: State) -> str:
    return state.subject.partition(":")[2]


def _label(subject: str) -> str:
    return subject.partition(":")[2]


def _alias(state: State) -> tuple[str, str]:
    model, _slash, alias = _name(state).rpartition("/")
    return model, alias


def _version(state: State) -> VersionThen:
    model, _slash, number = _name(state).rpartition("/")
    facts = state.facts
    return VersionThen(
        model, int(number), facts["digest"], facts.get("run_id", ""), facts["metrics"], state.began.recorded_at
    )


def _deployment(state: State) -> DeploymentThen:
    facts: dict[str, Any] = state.facts
    label = _label(facts["version"])
    return DeploymentThen(
        key=state.began.object_key,
        model=label.rpartition("/")[0],
        version=label,
        environment=_label(facts["environment"]),
        kind=facts["kind"],
        strategy=facts["strategy"],
        weight=facts["weight"],
        digest=facts["digest"],
        since=facts["since"],
        until=facts["until"],
        decision_id=facts["decision_id"],
        incident=facts["incident"],
        recorded_by=state.began.actor_id,
        log_id=state.began.log_id,
        entry=state.began.index,
    )
