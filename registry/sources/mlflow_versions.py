"""Everything that MLflow knows about one version: fetched whole before anything of it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from django.utils.translation import gettext as _

from audit.refusals import BadInput
from registry import naming
from registry.sources import artifacts, claims
from registry.sources.mlflow_client import API, Client, tags_of

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Fetched:
    """Version -> logged model -> run -> data sets, and the digest of the files."""

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


def fetch(client: Client, name: str, number: int, entry: dict[str, Any]) -> Fetched:
    """The version ``number`` of MLflow's model ``name``, ``entry`` being what its listing says. Nothing is written.

    Raises ``BadInput`` for a version that names a run which did not make it, ``Refused`` as the client does.
    """

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
            claims=claims_of(run),
        )

    return understood(client, chain)


def claims_of(run: dict[str, Any]) -> list[claims.Claim]:
    """What a run says of the data sets that it read."""
    return [claims.read(each) for each in run.get("inputs", {}).get("dataset_inputs", [])]


def understood(client: Client, asked: Callable[[], Answer]) -> Answer:
    """What ``asked`` answers; JSON of another shape than MLflow's is the same as no MLflow there."""
    try:
        return asked()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise client.strange(f"{client.address}/{API}") from error


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
