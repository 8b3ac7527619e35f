"""What MLflow is still to be told: written in the transaction of the change that it tells of, sent afterwards.

MLflow's state decides nothing here. It is told, as a mirror, and only where the settings of its server say so.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from celery import current_app
from django.db import transaction
from django.db.models import Count, Max
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import KombuError

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict
from registry.models import Alias, Deployment, MirrorKind, MirrorState, MLflowWrite, Model, ModelVersion
from registry.reconciling.snapshots import Untold
from registry.sources.mlflow_client import without_secrets
from registry.sources.servers import TrackingServer, tracking_servers

logger = logging.getLogger(__name__)

#: The task that sends what waits.
SEND = "registry.tasks.mirror_to_mlflow"
#: The tag of a model version that names the decision by which it was deployed.
DECISION_TAG = "countersign.decision"
#: An import that began before MLflow was told may hold what MLflow had then; it is not taken for a move by hand.
SETTLES = timedelta(minutes=15)
#: Names of aliases that MLflow takes; it keeps ``latest`` and ``v1`` for itself.
_NAME = re.compile(r"(?!(?:latest|[vV][0-9]+)$)[A-Za-z0-9_-]+")
_OPEN = (MirrorState.WAITING, MirrorState.REFUSED, MirrorState.HELD)


@dataclass(frozen=True, slots=True)
class Mirror:
    """What one server is still to be told. ``refused`` will not be sent again; ``error`` is the newest one's."""

    on: bool
    waiting: int = 0
    refused: int = 0
    error: str = ""
    tried: datetime | None = None


def server_of(version: ModelVersion) -> TrackingServer | None:
    """The tracking server that has the version; None for one that came from none, or when none is set.

    A server may have moved to another address: then its models' prefix tells, and whoever writes makes sure that the
    version there is the one that is registered.
    """
    listed = tracking_servers() if version.tracking_server else []
    named = [each for each in listed if version.model.name.startswith(each.prefix)]
    here = [each for each in named if without_secrets(each.uri) == version.tracking_server]
    return max(here or named, key=lambda each: len(each.prefix), default=None)


def must_follow(version: ModelVersion, alias: str) -> None:
    """Make sure that the version's tracking server will follow a move of ``alias`` here.

    Raises ``Conflict`` when it is not told of changes: the alias would stay where it is there, and that would look as
    if somebody had moved it by hand. Raises ``BadInput`` for a name that MLflow does not take.
    """
    server = server_of(version)
    if server is None:
        return
    if not server.mirrors:
        sentence = _(
            "The tracking server “%(server)s” is not told of changes, so “%(alias)s” would stay where it is there. "
            "Switch its write-back on (MLFLOW_WRITE_BACK), or record this without an alias and move it in MLflow."
        )
        raise Conflict(sentence % {"server": server.name, "alias": alias}, code="alias.not_mirrored")
    if not _NAME.fullmatch(alias):
        sentence = _("MLflow takes letters, digits, - and _ for an alias, and neither “latest” nor “v1”.")
        raise BadInput(sentence, code="alias.name", fields={"alias": sentence})


def owe_decision(row: Deployment) -> None:
    """The version that was deployed is to carry the id of the decision, in the caller's transaction."""
    server = server_of(row.version)
    if not row.decision_id or server is None or not server.mirrors:
        return
    earlier = MLflowWrite.objects.filter(kind=MirrorKind.TAG, version=row.version, name=DECISION_TAG, state__in=_OPEN)
    earlier.update(state=MirrorState.SUPERSEDED, done=timezone.now())
    _owe(server, row.version, MirrorKind.TAG, DECISION_TAG, row.decision_id, [])


def owe_alias(alias: Alias, was: ModelVersion | None) -> None:
    """The alias was moved here from ``was``; MLflow is to follow. In the transaction of the move.

    While earlier moves were not sent, MLflow still has what it had before the first of them, or one that was tried.
    """
    server = server_of(alias.version)
    if server is None or not server.mirrors:
        return
    before = {str(was.number) if was else ""}
    open_rows = MLflowWrite.objects.select_for_update(of=("self",)).filter(**_of(alias.model, alias.name))
    unsent = [row for row in open_rows.filter(state__in=_OPEN) if row.state != MirrorState.HELD]
    if unsent:
        before = {value for row in unsent for value in row.before}
        before |= {row.value for row in unsent if row.attempts and row.state == MirrorState.WAITING}
    open_rows.filter(state__in=_OPEN).update(state=MirrorState.SUPERSEDED, done=timezone.now())
    _owe(server, alias.version, MirrorKind.ALIAS, alias.name, str(alias.version.number), sorted(before))


def overtaken(alias: Alias, *, by: Actor) -> None:
    """The alias was moved in MLflow by somebody else, which was followed: what was still to be sent stays unsent."""
    rows = MLflowWrite.objects.select_for_update(of=("self",)).filter(**_of(alias.model, alias.name))
    for row in rows.filter(state=MirrorState.WAITING).select_related("version__model"):
        end(row, MirrorState.HELD, held(row, str(alias.version.number)), by=by)
    rows.exclude(before=[]).update(before=[])  # from now on nothing that MLflow has is our doing


def held(row: MLflowWrite, there: str) -> str:
    """Why an alias is not written: somebody moved it in MLflow after it was moved here."""
    sentence = _(
        "Somebody moved “%(alias)s” of %(model)s in MLflow to version %(there)s meanwhile. It is not written over: the "
        "ledger has it at version %(here)s. Move it in MLflow, or decide again here."
    )
    facts = {"alias": row.name, "model": row.version.model.name, "there": there[:20], "here": row.value}
    return sentence % facts


def end(row: MLflowWrite, state: MirrorState, sentence: str = "", *, by: Actor) -> None:
    """Record that the server was told, or why it never will be; needs a transaction.

    A write that something newer replaced while it was on its way stays replaced; that the server was told is recorded.
    """
    told = state == MirrorState.FINISHED
    ended = MLflowWrite.objects.filter(pk=row.pk, state=MirrorState.WAITING).update(
        state=state, last_error=sentence, done=timezone.now()
    )
    if not ended and not told:
        return
    version, label = row.version, f"{row.version.model.name}/{row.name}"
    facts = {"server": row.server, "version": version.subject, "digest": version.digest}
    facts |= {row.kind: row.name, "value": row.value}
    subject = version.subject if row.kind == MirrorKind.TAG else f"alias:{label}"
    log.append(Event.MLFLOW_MIRRORED if told else Event.MLFLOW_REFUSED, subject, facts=facts, reason=sentence, by=by)


def explained(model: Model) -> dict[str, frozenset[str]]:
    """Where MLflow has aliases of ``model`` because it was not told of our moves, by the alias. One query.

    Not what was told just now: an import that began before may hold what it had read then.
    """
    newest = MLflowWrite.objects.filter(kind=MirrorKind.ALIAS, version__model=model).order_by("name", "-id")
    lately = timezone.now() - SETTLES
    return {
        row.name: frozenset(row.before)
        for row in newest.distinct("name")
        if row.state in (MirrorState.WAITING, MirrorState.REFUSED)
        or (row.state == MirrorState.FINISHED and row.done and row.done > lately)
    }


def untold() -> dict[tuple[str, str], Untold]:
    """The aliases whose move here MLflow was not told, by model and alias. One query."""
    on = {server.name for server in tracking_servers() if server.mirrors}
    rows = MLflowWrite.objects.filter(kind=MirrorKind.ALIAS, state__in=(MirrorState.WAITING, MirrorState.REFUSED))
    columns = ("version__model__name", "name", "before", "server", "state")
    return {
        (model, name): Untold(
            tuple(f"version:{model}/{number}" if number else "" for number in before),
            waits=server in on and state == MirrorState.WAITING,
        )
        for model, name, before, server, state in rows.values_list(*columns)
    }


def mirrors() -> dict[str, Mirror]:
    """What each server of the settings is still to be told. Two queries."""
    counted: dict[str, dict[str, int]] = defaultdict(dict)
    tried: dict[str, datetime | None] = {}
    open_rows = MLflowWrite.objects.filter(state__in=_OPEN).order_by()
    for row in open_rows.values("server", "state").annotate(n=Count("pk"), newest=Max("tried")):
        counted[row["server"]][row["state"]] = row["n"]
        tried[row["server"]] = max(filter(None, (tried.get(row["server"]), row["newest"])), default=None)
    failed = open_rows.exclude(last_error="").order_by("server", "-tried", "-id").distinct("server")
    errors = dict(failed.values_list("server", "last_error"))
    return {
        each.name: Mirror(
            each.mirrors,
            waiting=counted[each.name].get(MirrorState.WAITING, 0),
            refused=sum(counted[each.name].get(state, 0) for state in (MirrorState.REFUSED, MirrorState.HELD)),
            error=errors.get(each.name, ""),
            tried=tried.get(each.name),
        )
        for each in tracking_servers()
    }


def _of(model: Model, alias: str) -> dict[str, object]:
    return {"kind": MirrorKind.ALIAS, "version__model": model, "name": alias}


def _owe(
    server: TrackingServer, version: ModelVersion, kind: MirrorKind, name: str, value: str, before: list[str]
) -> None:
    MLflowWrite.objects.create(
        server=server.name, version=version, kind=kind, name=name, value=value, before=before, due=timezone.now()
    )
    transaction.on_commit(_announce)


def _announce() -> None:
    """Tell a worker. When the broker is away the row is not: the clock sends it."""
    try:
        current_app.send_task(SEND, retry=False)
    except (KombuError, OSError) as error:
        logger.warning("the broker does not take the order to tell MLflow, the clock will: %s", error)
