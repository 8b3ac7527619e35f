"""Import from an MLflow tracking server: models, versions, aliases, runs, data sets and the edges between them.

Everything of a version is fetched first and written in one transaction, so an import that dies leaves whole versions
only and the next one goes on. What is stored already is not written again and leaves no entry.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.advisory import claimed
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, Refusal, Refused
from registry import aliases, naming, versions
from registry.lineage import edges
from registry.models import Alias, Deployment, LineageEdge, MLflowLook, Model, ModelVersion, Risk, Run
from registry.sources import artifacts, claims
from registry.sources.mlflow_client import API, Client, tags_of

logger = logging.getLogger(__name__)

#: First key of the advisory lock («mlfl» in ASCII): two imports at a time would fetch everything twice.
LOCK = 0x6D6C666C
UNKNOWN = "unknown"
Answer = TypeVar("Answer")
#: Refusals that concern one version; every other one means that the server cannot be read, and ends the import.
OF_ONE_VERSION = frozenset({"mlflow.missing", "mlflow.artifacts_not_proxied", "mlflow.artifact_unreadable"})


@dataclass(slots=True)
class ImportSummary:
    """What an import wrote; ``problems`` are sentences about what it had to leave out, ``unchanged`` known versions."""

    models: int = 0
    versions: int = 0
    unchanged: int = 0
    aliases: int = 0
    out_of_band: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fetched:
    """Everything that MLflow knows about one version."""

    number: int
    source: str
    artifact: artifacts.Artifact
    run_id: str
    name: str
    contributors: list[str]
    params: dict[str, str]
    metrics: dict[str, str]
    started: datetime | None
    ended: datetime | None
    claims: list[claims.Claim]


def import_all(*, by: Actor) -> ImportSummary:
    """Import what is new on the server of ``MLFLOW_TRACKING_URI``.

    Raises ``Refused`` that names the address and the variable when the server cannot be read, ``Conflict`` while
    another import runs. Versions that cannot be imported (no trainer, no readable artifact) are in ``problems``.
    """
    summary = ImportSummary()
    began = timezone.now()
    with Client.from_settings() as client, _alone():
        for registered in _understood(client, client.registered_models):
            try:
                naming.name(str(registered.get("name", "")))
            except BadInput as refusal:
                summary.problems.append(refusal.sentence)
                continue
            _import_model(client, registered, summary, by)
        MLflowLook.keep(began, found=summary.versions + summary.aliases)
    for problem in summary.problems:
        logger.warning("mlflow import: %s", problem)
    return summary


def _import_model(client: Client, registered: dict[str, Any], summary: ImportSummary, by: Actor) -> None:
    name = str(registered["name"])
    listed = _understood(client, lambda: client.versions(name))
    model = Model.objects.filter(name=name).first()
    if model is None:
        purpose = str(registered.get("description") or "").replace("\x00", "").strip()[:4000]
        model = versions.register_model(
            name, title=name, owner=UNKNOWN, purpose=purpose or UNKNOWN, risk=Risk.UNKNOWN, risk_reason=UNKNOWN, by=by
        )
        summary.models += 1
    known = {each.number: each for each in model.versions.select_related("model")}
    for entry in listed:
        number = int(entry["version"])
        if entry.get("status", "READY") != "READY":
            continue  # still uploading, or failed: the next import looks again
        try:
            if number in known:
                _look_again(client, known[number], entry, summary, by)
            else:
                _store(model, _fetch(client, name, number, entry), client.address, summary, by)
        except (BadInput, Conflict) as refusal:
            summary.problems.append(_left_out(name, number, refusal))
        except Refused as refusal:
            if refusal.code not in OF_ONE_VERSION:
                raise
            summary.problems.append(_left_out(name, number, refusal))
    _follow_aliases(model, registered, summary, by)


def _fetch(client: Client, name: str, number: int, entry: dict[str, Any]) -> Fetched:
    """Version -> logged model -> run -> data sets, and the digest of the files. Nothing is written."""

    def chain() -> Fetched:
        source = str(entry.get("source", ""))
        run_id = _run_of(client, source, str(entry.get("run_id") or ""))
        run, files = client.run(run_id), client.artifact_uri(name, number)
        if not source.startswith("models:/") and not files.startswith(f"{run['info']['artifact_uri']}/"):
            raise BadInput(_("its files are not those of the run that it names"), code="mlflow.other_run")
        info, data = run.get("info", {}), run.get("data", {})
        tags = tags_of(data.get("tags"))
        return Fetched(
            number=number,
            source=source,
            artifact=artifacts.read(client, files),
            run_id=run_id,
            name=str(info.get("run_name") or ""),
            contributors=_contributors(tags, info),
            params=tags_of(data.get("params")),
            metrics=_metrics(data.get("metrics", [])),
            started=_moment(info.get("start_time")),
            ended=_moment(info.get("end_time")),
            claims=_claims(run),
        )

    return _understood(client, chain)


def _run_of(client: Client, source: str, named: str) -> str:
    """The run that made the logged model. MLflow lets a version name any other run, with cleaner data; we do not."""
    run_id = named
    if source.startswith("models:/m-"):
        run_id = str(client.logged_model(source.removeprefix("models:/")).get("source_run_id") or "")
        if named and named != run_id:
            sentence = _("it names the run %(named)s, but its model was made by %(made)s")
            raise BadInput(sentence % {"named": named[:64], "made": run_id or _("no run")}, code="mlflow.other_run")
    if not run_id:
        raise BadInput(_("it has no training run, so nobody knows who trained it on what"), code="mlflow.no_run")
    return run_id


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
    for claim in fetched.claims:
        edges.record_edge(claims.settle(claim, by=by), run, by=by)
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
        by=by,
    )
    edges.record_edge(run, version, by=by)
    summary.versions += 1
    summary.problems += [f"{version.label}: {problem}" for claim in fetched.claims for problem in claim.problems]


def _follow_aliases(model: Model, registered: dict[str, Any], summary: ImportSummary, by: Actor) -> None:
    """An alias that points elsewhere than here was moved without a decision: followed, and recorded as such."""
    stored = {each.name: each for each in Alias.objects.filter(model=model).select_related("version__model", "model")}
    there = {str(each.get("alias", "")): str(each.get("version", "")) for each in registered.get("aliases") or []}
    numbers = {str(each.number): each for each in model.versions.select_related("model")}
    for name, number in sorted(there.items()):
        version, before = numbers.get(number), stored.get(name)
        if version is None:
            sentence = _("The alias “%(alias)s” of %(model)s points at version %(number)s, which is not imported.")
            summary.problems.append(sentence % {"alias": name[:80], "model": model.name, "number": number[:20]})
        elif before is None or before.version_id != version.pk:
            try:
                _follow(model, name, version, before, summary, by)
            except BadInput as refusal:
                summary.problems.append(refusal.sentence)
    for name in sorted(stored.keys() - there.keys()):
        sentence = _("The alias “%(alias)s” of %(model)s was removed in MLflow; it still stands here.")
        summary.problems.append(sentence % {"alias": name, "model": model.name})


@transaction.atomic
def _follow(
    model: Model, name: str, version: ModelVersion, before: Alias | None, summary: ImportSummary, by: Actor
) -> None:
    outside = before is not None or Deployment.objects.open().filter(version=version).exists()
    reason = _("moved outside the ledger") if outside else _("imported from MLflow")
    alias = aliases.move(model, name, version, reason=reason, outside=outside, by=by)
    summary.aliases += 1
    if outside:
        was = {"version": before.version.subject} if before else {}
        facts: dict[str, Any] = {"what": "alias", "version": version.subject, "digest": version.digest}
        facts |= {"before": was, "after": {"version": version.subject}}
        log.append(Event.OUT_OF_BAND_OBSERVED, alias, facts=facts, reason=reason, by=by)
        summary.out_of_band += 1


def _look_again(
    client: Client, version: ModelVersion, entry: dict[str, Any], summary: ImportSummary, by: Actor
) -> None:
    """A known version: its artifact never changes, but its run may have been given another data set since."""
    summary.unchanged += 1
    source, run_id = str(entry.get("source", ""))[:1000], str(entry.get("run_id") or "")
    if version.source_uri and (source != version.source_uri or (run_id and run_id != version.run_id)):
        # A model that was deleted in MLflow and made again counts from 1 again.
        sentence = _("%(label)s is another artifact in MLflow (%(there)s) than the one registered here (%(here)s).")
        facts = {"label": version.label, "there": source[:80], "here": version.source_uri[:80]}
        summary.problems.append(sentence % facts)
        return
    run = Run.objects.filter(run_id=version.run_id).first()
    if run is None:
        return
    given = _understood(client, lambda: _claims(client.run(run.run_id)))
    inputs = set(LineageEdge.objects.filter(target=run.subject).values_list("source", flat=True))
    with transaction.atomic():
        for claim in given:
            stored = claims.stored(claim)
            if stored is None or stored.subject not in inputs:
                edges.record_edge(claims.settle(claim, by=by), run, by=by)
                summary.problems += [f"{version.label}: {problem}" for problem in claim.problems]


def _claims(run: dict[str, Any]) -> list[claims.Claim]:
    return [claims.read(each) for each in run.get("inputs", {}).get("dataset_inputs", [])]


def _contributors(tags: dict[str, str], info: dict[str, Any]) -> list[str]:
    """Everyone who is named as a trainer; an empty list is refused where the version is registered."""
    logged_by = tags.get("mlflow.user") or str(info.get("user_id") or "")
    return naming.people([*tags.get("countersign.trainer", "").split(","), logged_by])


def _metrics(listed: list[dict[str, Any]]) -> dict[str, str]:
    """The last value of each metric as the server wrote it; what is not a finite number is no measurement."""
    values: dict[str, str] = {}
    for metric in listed:
        text = str(metric.get("value", ""))
        try:
            finite = Decimal(text).is_finite()
        except InvalidOperation:
            finite = False
        if finite:
            values[str(metric.get("key", ""))] = text
    return values


def _moment(milliseconds: Any) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC) if milliseconds else None


def _left_out(name: str, number: int, refusal: Refusal) -> str:
    sentence = _("%(name)s/%(number)d could not be imported: %(why)s")
    return sentence % {"name": name, "number": number, "why": refusal.sentence}


def _understood(client: Client, fetch: Callable[[], Answer]) -> Answer:
    """What ``fetch`` answers; JSON of another shape than MLflow's is the same as no MLflow there."""
    try:
        return fetch()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise client.strange(f"{client.address}/{API}") from error


@contextmanager
def _alone() -> Iterator[None]:
    with claimed(LOCK, 0) as mine:
        if not mine:
            raise Conflict(_("Another import from MLflow is running."), code="mlflow.busy")
        yield
