"""Import from MLflow tracking servers: models, versions, aliases, runs, data sets and the edges between them.

Everything of a version is fetched first and written in one transaction, so an import that dies leaves whole versions
only and the next one goes on. What is stored already is not written again and leaves no entry.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.advisory import claimed
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, Refusal, Refused
from registry import aliases, dependencies, naming, versions
from registry.lineage import edges
from registry.lineage.graph import Edge
from registry.models import Alias, Dataset, Deployment, EdgeKind, MLflowLook, Model, ModelVersion, Risk
from registry.sources import artifacts, claims, mlflow_outbox, servers, stored
from registry.sources.ahead import ahead
from registry.sources.imports import ImportSummary, recorded
from registry.sources.mlflow_again import Seen, look_again
from registry.sources.mlflow_client import VARIABLE, Client, without_secrets
from registry.sources.mlflow_versions import Fetched, fetch, understood

logger = logging.getLogger(__name__)

#: First key of the advisory lock («mlfl» in ASCII): two imports at a time would fetch everything twice.
LOCK = 0x6D6C666C
UNKNOWN = "unknown"
#: Versions that are fetched before they are written; each is some kilobytes, and an import that dies asked in vain.
AHEAD = 4
#: Refusals that concern one version; every other one means that the server cannot be read, and ends its import.
OF_ONE_VERSION = frozenset({"mlflow.missing", "mlflow.artifacts_not_proxied", "mlflow.artifact_unreadable"})


def import_all(*, by: Actor) -> ImportSummary:
    """Import what is new on every tracking server.

    A server that cannot be read does not keep the others from being imported; at the end ``Refused`` names its address
    and the variable to mend. Raises ``Conflict`` while another import runs. Versions that cannot be imported (no
    trainer, no readable artifact) are in ``problems``.
    """
    total, refusals, began = ImportSummary(), [], timezone.now()
    listed = servers.tracking_servers()
    if not listed:
        raise Refused(
            _("%(variable)s is not set: there is no server to import from.") % {"variable": VARIABLE},
            code="mlflow.address",
        )
    with _alone():
        for server in listed:
            try:
                total.add(_import_from(server, by))
            except Refusal as refusal:
                refusals.append(refusal)
    if not refusals:
        MLflowLook.keep(began, found=total.versions + total.aliases)
    for problem in total.problems:
        logger.warning("mlflow import: %s", problem)
    if len(refusals) > 1:
        raise Refused(" ".join(refusal.sentence for refusal in refusals), code="mlflow.unreachable")
    if refusals:
        raise refusals[0]
    return total


@dataclass(frozen=True, slots=True)
class Listed:
    """A model as the server lists it, ``name`` being ours: ``new`` versions are stored, the others looked at again."""

    name: str
    registered: dict[str, Any]
    new: list[dict[str, Any]]
    again: list[Seen]


def _import_from(server: servers.TrackingServer, by: Actor) -> ImportSummary:
    with recorded(server.name, without_secrets(server.uri)) as summary, Client(server) as client:
        models = understood(client, client.registered_models)
        versions_there, known, found = understood(client, client.versions), stored.everything(), []
        for registered in models:
            name, listed = f"{server.prefix}{registered['name']}", versions_there.get(str(registered["name"]), [])
            try:
                _must_be_of(client, naming.name(name), listed, known)
            except (BadInput, Conflict) as refusal:
                summary.problems.append(refusal.sentence)
                continue
            found.append(_sorted_out(name, registered, listed, known))
        with closing(ahead(_fetches(client, found), AHEAD)) as fetched:
            for each in found:
                _import_model(client, each, fetched, known, summary, by)
        look_again(client, [seen for each in found for seen in each.again], summary, by)
    return summary


def _sorted_out(name: str, registered: dict[str, Any], listed: list[dict[str, Any]], known: stored.Stored) -> Listed:
    """What is still uploading, or failed, is left to the next import."""
    ready = [entry for entry in listed if entry.get("status", "READY") == "READY"]
    numbers = known.versions.get(name, {})
    return Listed(
        name=name,
        registered=registered,
        new=[entry for entry in ready if int(entry["version"]) not in numbers],
        again=[Seen(numbers[int(entry["version"])], entry) for entry in ready if int(entry["version"]) in numbers],
    )


def _fetches(client: Client, found: list[Listed]) -> Iterator[Callable[[], Fetched]]:
    for each in found:
        for entry in each.new:
            yield partial(fetch, client, str(each.registered["name"]), int(entry["version"]), entry)


def _must_be_of(client: Client, name: str, listed: list[dict[str, Any]], known: stored.Stored) -> None:
    """Raise ``Conflict`` for a model of another server: its versions would be taken for one another's.

    A server may move to another address. It is the same one when it still has one of the versions that are registered:
    what a version names as its source is an id that no other server gives.
    """
    numbers = known.versions.get(name, {})
    elsewhere = {each.server for each in numbers.values() if each.server} - {client.address}
    if not elsewhere:
        return
    for entry in listed:
        here = numbers.get(int(entry["version"]))
        if here and here.source_uri and here.source_uri == str(entry.get("source", ""))[:1000]:
            return
    sentence = _(
        "%(model)s was imported from %(there)s; what %(here)s calls so is another model and is left out. Give one "
        "of the servers a prefix in MLFLOW_SERVERS."
    )
    facts = {"model": name, "there": ", ".join(sorted(elsewhere)), "here": client.address}
    raise Conflict(sentence % facts, code="mlflow.other_server")


def _import_model(
    client: Client,
    listed: Listed,
    fetched: Iterator[Future[Fetched]],
    known: stored.Stored,
    summary: ImportSummary,
    by: Actor,
) -> None:
    """Store what is new of one model; ``fetched`` gives its new versions next, in their order."""
    model = known.models.get(listed.name) or _register(listed.name, listed.registered, summary, by)
    for entry in listed.new:
        try:
            _store(model, next(fetched).result(), client.address, summary, by)
        except (BadInput, Conflict) as refusal:
            summary.problems.append(_left_out(listed.name, int(entry["version"]), refusal))
        except Refused as refusal:
            if refusal.code not in OF_ONE_VERSION:
                raise
            summary.problems.append(_left_out(listed.name, int(entry["version"]), refusal))
    _follow_aliases(model, listed.registered, known.aliases.get(listed.name, {}), summary, by)


def _register(name: str, registered: dict[str, Any], summary: ImportSummary, by: Actor) -> Model:
    purpose = str(registered.get("description") or "").replace("\x00", "").strip()[:4000]
    model = versions.register_model(
        name, title=name, owner=UNKNOWN, purpose=purpose or UNKNOWN, risk=Risk.UNKNOWN, risk_reason=UNKNOWN, by=by
    )
    summary.models += 1
    return model


@transaction.atomic
def _store(model: Model, fetched: Fetched, server: str, summary: ImportSummary, by: Actor) -> None:
    run = edges.register_run(
        fetched.run_id,
        tracking_server=server,
        contributors=fetched.contributors,
        name=fetched.name,
        params=fetched.params,
        metrics=fetched.metrics,
        started=fetched.started,
        ended=fetched.ended,
        by=by,
    )
    read = _settled(fetched, by)
    version = versions.register_version(
        model,
        digest=fetched.artifact.digest,
        trained_by=fetched.contributors,
        number=fetched.number,
        run_id=fetched.run_id,
        tracking_server=server,
        metrics=fetched.metrics,
        schema=fetched.artifact.schema,
        source_uri=fetched.source[:1000],
        dependencies=_understood_needs(model, fetched, summary),
        by=by,
    )
    flows = [Edge(each.subject, run.subject, EdgeKind.INPUT) for each in read]
    edges.record_edges([*flows, Edge(run.subject, version.subject, EdgeKind.OUTPUT)], by=by)
    summary.versions += 1
    summary.problems += [f"{version.label}: {problem}" for claim in fetched.claims for problem in claim.problems]


def _settled(fetched: Fetched, by: Actor) -> list[Dataset]:
    """The data sets that the version's run says it read."""
    named, read = stored.datasets_named(name for claim in fetched.claims for name in claim.names), []
    for claim in fetched.claims:
        dataset = claims.settle(claim, named, by=by)
        named |= {dataset.name: dataset} | stored.datasets_named(claim.parents)
        read.append(dataset)
    return read


def _understood_needs(model: Model, fetched: Fetched, summary: ImportSummary) -> list[str] | None:
    """The version's requirements; unknown, and said so, when a line of them is no named requirement."""
    try:
        dependencies.read(fetched.artifact.requirements or [])
    except BadInput as refusal:
        sentence = _("%(label)s: what it needs to run is unknown, its %(file)s is not understood: %(why)s")
        label = f"{model.name}/{fetched.number}"
        facts = {"label": label, "file": artifacts.REQUIREMENTS, "why": refusal.sentence}
        summary.problems.append(sentence % facts)
        return None
    return fetched.artifact.requirements


def _follow_aliases(
    model: Model, registered: dict[str, Any], here: dict[str, int], summary: ImportSummary, by: Actor
) -> None:
    """An alias that points elsewhere than here was moved without a decision: followed, and recorded as such.

    Unless it still points where it did before it was moved here: then MLflow was not told yet, or refused to be.
    """
    there = {str(each.get("alias", "")): str(each.get("version", "")) for each in registered.get("aliases") or []}
    moved = {name: number for name, number in sorted(there.items()) if str(here.get(name, "")) != number}
    gone = sorted(here.keys() - there.keys())
    ours = mlflow_outbox.explained(model) if moved or gone else {}
    for name in gone:
        if "" in ours.get(name, ()):
            continue
        sentence = _("The alias “%(alias)s” of %(model)s was removed in MLflow; it still stands here.")
        summary.problems.append(sentence % {"alias": name, "model": model.name})
    moved = {name: number for name, number in moved.items() if number not in ours.get(name, ())}
    if not moved:
        return
    kept = {each.name: each for each in Alias.objects.filter(model=model).select_related("version__model", "model")}
    numbers = {str(each.number): each for each in model.versions.select_related("model")}
    for name, number in moved.items():
        version = numbers.get(number)
        if version is None:
            sentence = _("The alias “%(alias)s” of %(model)s points at version %(number)s, which is not imported.")
            summary.problems.append(sentence % {"alias": name[:80], "model": model.name, "number": number[:20]})
            continue
        try:
            _follow(model, name, version, kept.get(name), summary, by)
        except BadInput as refusal:
            summary.problems.append(refusal.sentence)


@transaction.atomic
def _follow(
    model: Model, name: str, version: ModelVersion, before: Alias | None, summary: ImportSummary, by: Actor
) -> None:
    outside = before is not None or Deployment.objects.open().filter(version=version).exists()
    reason = _("moved outside the ledger") if outside else _("imported from MLflow")
    alias = aliases.move(model, name, version, reason=reason, outside=outside, read_there=True, by=by)
    summary.aliases += 1
    if outside:
        was = {"version": before.version.subject} if before else {}
        facts: dict[str, Any] = {"what": "alias", "version": version.subject, "digest": version.digest}
        facts |= {"before": was, "after": {"version": version.subject}}
        log.append(Event.OUT_OF_BAND_OBSERVED, alias, facts=facts, reason=reason, by=by)
        summary.out_of_band += 1


def _left_out(name: str, number: int, refusal: Refusal) -> str:
    sentence = _("%(name)s/%(number)d could not be imported: %(why)s")
    return sentence % {"name": name, "number": number, "why": refusal.sentence}


@contextmanager
def _alone() -> Iterator[None]:
    with claimed(LOCK, 0) as mine:
        if not mine:
            raise Conflict(_("Another import from MLflow is running."), code="mlflow.busy")
        yield
