"""What serves where: deployments and rollbacks recorded, and read as of any moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict
from registry import naming, signals
from registry.models import Deployment, DeploymentKind, Endpoint, Environment, Model, ModelVersion, Strategy
from registry.sources import mlflow_outbox


@dataclass(frozen=True, slots=True)
class Serving:
    """One version that takes traffic. ``share`` is its percent after those that run beside it took theirs."""

    deployment: Deployment
    share: int

    @property
    def version(self) -> ModelVersion:
        return self.deployment.version


@transaction.atomic
def record_deploy(
    environment: Environment,
    version: ModelVersion,
    strategy: str = Strategy.ALL_AT_ONCE,
    decision_id: str = "",
    permit_id: str = "",
    *,
    weight: int | None = None,
    endpoint: Endpoint | None = None,
    reason: str = "",
    at: datetime | None = None,
    by: Actor,
) -> Deployment:
    """Record that ``version`` serves in ``environment`` from ``at`` (default now) on.

    A strategy that replaces ends what served that model before; one that shares (canary, shadow, …) runs beside it and
    takes ``weight`` percent. Raises ``BadInput`` for an unknown strategy or a weight outside 0 to 100, ``Conflict``
    when the version serves there already, when a share has nothing to share with, or when the shares pass 100 %.
    """
    naming.choice(strategy, Strategy.values, field="strategy")
    moment = _moment(at)
    open_rows = _lock_open(environment, version.model)
    row = Deployment(
        environment=environment,
        model=version.model,
        version=version,
        endpoint=_fitting(endpoint, environment),
        kind=DeploymentKind.DEPLOY,
        strategy=strategy,
        weight=_weight(strategy, weight),
        digest=version.digest,
        decision_id=decision_id,
        permit_id=permit_id,
        actor_id=by.id,
        since=moment,
        reason=reason,
    )
    _end(_replaced_by(row, open_rows), moment, by=by)
    row.save()
    log.append(Event.DEPLOYMENT_RECORDED, row, facts=_facts(row), reason=reason, by=by)
    mlflow_outbox.owe_decision(row)
    signals.deployment_recorded.send(sender=Deployment, deployment=row, by=by)
    return row


@transaction.atomic
def record_rollback(
    environment: Environment,
    version: ModelVersion,
    decision_id: str = "",
    permit_id: str = "",
    *,
    reason: str,
    incident: str = "",
    endpoint: Endpoint | None = None,
    at: datetime | None = None,
    by: Actor,
) -> Deployment:
    """Record that ``environment`` went back to ``version``, all at once; every open deployment of the model ends.

    Raises ``BadInput`` without a reason, ``Conflict`` when nothing of the model serves there, when ``version`` already
    serves there alone, or when it never served there.
    """
    said = naming.text(reason, field="reason", limit=4000)
    moment = _moment(at)
    open_rows = _lock_open(environment, version.model)
    undone = _undone_by(environment, version, open_rows)
    row = Deployment(
        environment=environment,
        model=version.model,
        version=version,
        endpoint=_fitting(endpoint, environment),
        kind=DeploymentKind.ROLLBACK,
        strategy=Strategy.ALL_AT_ONCE,
        weight=100,
        digest=version.digest,
        decision_id=decision_id,
        permit_id=permit_id,
        actor_id=by.id,
        since=moment,
        reason=said,
        incident=incident.strip()[:200],
        undoes=undone,
    )
    _end(open_rows, moment, by=by)
    row.save()
    log.append(
        Event.ROLLBACK_RECORDED, row, facts={**_facts(row), "undoes": undone.version.subject}, reason=said, by=by
    )
    mlflow_outbox.owe_decision(row)
    signals.deployment_recorded.send(sender=Deployment, deployment=row, by=by)
    return row


@transaction.atomic
def end_deployment(deployment: Deployment, *, reason: str = "", at: datetime | None = None, by: Actor) -> Deployment:
    """Record that a deployment takes no traffic any more. Raises ``Conflict`` when it had ended before."""
    locked = Deployment.objects.select_for_update().get(pk=deployment.pk)
    if locked.until is not None:
        raise Conflict(_("This deployment has ended already."), code="deployment.ended")
    moment = _moment(at)
    _in_order(locked, moment)
    locked.until = moment
    locked.save(update_fields=["until"])
    log.append(Event.DEPLOYMENT_ENDED, locked, facts=_ended(locked), reason=reason, by=by)
    return locked


def serving(environment: Environment, model: Model | None = None, at: datetime | None = None) -> tuple[Serving, ...]:
    """What serves in ``environment`` at ``at`` (default now), by model, the version with the rest of the traffic first.

    One query over the tables, for work that goes on now. A moment belongs to the deployment that began then, not to the
    one that ended then. What was known at a moment, only the log says: ``registry.as_of``.
    """
    rows = Deployment.objects.with_names().filter(environment=environment)
    if model is not None:
        rows = rows.filter(model=model)
    rows = rows.open() if at is None else rows.filter(Q(until__isnull=True) | Q(until__gt=at), since__lte=at)
    return shares_of(list(rows.order_by("model__name", "-since", "-id")))


def shares_of(rows: list[Deployment]) -> tuple[Serving, ...]:
    """Shares in percent of deployments that are open at one moment; the exclusive one takes what the others leave."""
    taken: dict[tuple[int, int], int] = {}
    for row in rows:
        if row.shares and row.strategy != Strategy.SHADOW:
            key = (row.environment_id, row.model_id)
            taken[key] = taken.get(key, 0) + row.weight
    result = [
        Serving(row, row.weight if row.shares else max(0, 100 - taken.get((row.environment_id, row.model_id), 0)))
        for row in rows
    ]
    return tuple(sorted(result, key=lambda each: (each.deployment.model.name, each.deployment.shares)))


def _lock_open(environment: Environment, model: Model) -> list[Deployment]:
    """Open deployments of the model there. Locks the environment's row: two deploys cannot both see nothing open."""
    Environment.objects.select_for_update().get(pk=environment.pk)
    return list(
        Deployment.objects.select_for_update(of=("self",))
        .with_names()
        .filter(environment=environment, model=model)
        .open()
    )


def _undone_by(environment: Environment, version: ModelVersion, open_rows: list[Deployment]) -> Deployment:
    """The deployment that a rollback to ``version`` undoes. Raises ``Conflict`` when there is no way back to it."""
    undone = next((each for each in open_rows if not each.shares), None) or next(iter(open_rows), None)
    place = {"model": version.model.name, "environment": environment.slug}
    if undone is None:
        raise Conflict(
            _("No version of %(model)s serves in %(environment)s: there is nothing to roll back.") % place,
            code="rollback.nothing_serves",
        )
    if undone.version_id == version.pk and len(open_rows) == 1:
        raise Conflict(
            _("%(version)s already serves in %(environment)s.") % {"version": version.label, **place},
            code="rollback.serves_already",
        )
    if not Deployment.objects.filter(environment=environment, version=version).exists():
        raise Conflict(
            _("%(version)s never served in %(environment)s: request a promotion instead.")
            % {"version": version.label, **place},
            code="rollback.never_served",
        )
    return undone


def _replaced_by(row: Deployment, open_rows: list[Deployment]) -> list[Deployment]:
    """The open deployments that ``row`` ends. Raises ``Conflict`` when it cannot begin."""
    place = {"version": row.version.label, "environment": row.environment.slug}
    rest = next((each for each in open_rows if not each.shares), None)
    if not row.shares:
        if rest is not None and rest.version_id == row.version_id and len(open_rows) == 1:
            raise Conflict(
                _("%(version)s already serves in %(environment)s.") % place, code="deployment.serves_already"
            )
        return open_rows
    if rest is None or rest.version_id == row.version_id:
        raise Conflict(
            _("%(version)s cannot share traffic in %(environment)s: no other version serves there.") % place,
            code="deployment.nothing_to_share",
        )
    same = [each for each in open_rows if each.shares and each.version_id == row.version_id]
    others = sum(
        each.weight for each in open_rows if each.shares and each not in same and each.strategy != Strategy.SHADOW
    )
    if row.strategy != Strategy.SHADOW and others + row.weight > 100:
        raise Conflict(
            _("The shares in %(environment)s would come to %(sum)d %%.") % {**place, "sum": others + row.weight},
            code="deployment.shares_over_100",
        )
    return same


def _end(rows: list[Deployment], moment: datetime, *, by: Actor) -> None:
    for row in rows:
        _in_order(row, moment)
        row.until = moment
        row.save(update_fields=["until"])
        log.append(Event.DEPLOYMENT_ENDED, row, facts=_ended(row), by=by)


def _in_order(row: Deployment, moment: datetime) -> None:
    if moment < row.since:
        raise Conflict(
            _("%(version)s serves there since %(since)s; an earlier moment cannot follow it.")
            % {"version": row.version.label, "since": row.since.isoformat()},
            code="deployment.out_of_order",
        )


def _moment(at: datetime | None) -> datetime:
    now = timezone.now()
    if at is None:
        return now
    if timezone.is_naive(at):
        sentence = _("Give the moment with its offset from UTC.")
        raise BadInput(sentence, code="deployment.moment", fields={"at": sentence})
    if at > now:
        sentence = _("A deployment that has not happened yet cannot be recorded.")
        raise BadInput(sentence, code="deployment.moment", fields={"at": sentence})
    return at


def _weight(strategy: str, weight: int | None) -> int:
    if strategy == Strategy.SHADOW:
        return 0
    if weight is None and strategy in ("canary", "ab", "bandit", "champion_challenger"):
        sentence = _("Say how many percent of the traffic it takes.")
        raise BadInput(sentence, code="deployment.weight", fields={"weight": sentence})
    percent = 100 if weight is None else weight
    if isinstance(percent, bool) or not isinstance(percent, int) or not 0 <= percent <= 100:
        sentence = _("The share is a whole number of percent from 0 to 100.")
        raise BadInput(sentence, code="deployment.weight", fields={"weight": sentence})
    return percent


def _fitting(endpoint: Endpoint | None, environment: Environment) -> Endpoint | None:
    if endpoint is not None and endpoint.environment_id != environment.pk:
        sentence = _("Endpoint “%(endpoint)s” is not in %(environment)s.") % {
            "endpoint": endpoint.name,
            "environment": environment.slug,
        }
        raise BadInput(sentence, code="deployment.endpoint", fields={"endpoint": sentence})
    return endpoint


def _facts(row: Deployment) -> dict[str, object]:
    return {
        "kind": row.kind,
        "digest": row.digest,
        "strategy": row.strategy,
        "weight": row.weight,
        "decision_id": row.decision_id,
        "permit_id": row.permit_id,
        "incident": row.incident,
        "regions": list(row.environment.regions),
        "log_sinks": list(row.environment.log_sinks),
        "since": row.since.isoformat(),
        "until": row.until.isoformat() if row.until else "",
    }


def _ended(row: Deployment) -> dict[str, object]:
    facts = _facts(row)
    return {**facts, "before": {"until": ""}, "after": {"until": facts["until"]}}
