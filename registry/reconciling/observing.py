"""The side of what is really there: MLflow by its REST API, every endpoint by its own answer. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.utils import timezone

from audit.refusals import Refused
from registry.reconciling.identity import Address, ask_all
from registry.reconciling.snapshots import Observed, Source, SourceVersion
from registry.sources.mlflow_client import API, Client

#: Seconds between two packets of MLflow's answers; a person may be waiting.
READ = 10.0


def observe(addresses: Iterable[Address]) -> Observed:
    """Look once. Never raises for what does not answer: that is what is seen then."""
    at = timezone.now()
    answers = ask_all(addresses)
    return Observed(at=at, source=_source(), answers=answers)


def _source() -> Source | None:
    if not settings.MLFLOW_TRACKING_URI:
        return None
    address = ""
    try:
        with Client.from_settings(read=READ) as client:
            address = client.address
            return _read(client)
    except Refused as refusal:
        return Source(address, problem=refusal.sentence)


def _read(client: Client) -> Source:
    """Every model, alias and version. Raises ``Refused`` when the server cannot be read or is not MLflow's."""
    try:
        registered = client.registered_models()
        listed = client.every_version()
        return Source(
            client.address,
            models=frozenset(str(each["name"]) for each in registered),
            aliases={
                (str(each["name"]), str(alias["alias"])): str(alias["version"])
                for each in registered
                for alias in each.get("aliases") or []
            },
            versions={
                (str(each["name"]), int(each["version"])): SourceVersion(
                    str(each.get("source") or "")[:1000], str(each.get("run_id") or "")
                )
                for each in listed
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise client.strange(f"{client.address}/{API}") from error
