"""What is really there: each MLflow by its REST API, every endpoint by its own answer. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils import timezone

from audit.refusals import Refused
from registry.reconciling.identity import Address, ask_all
from registry.reconciling.snapshots import Observed, Source, SourceVersion
from registry.sources.mlflow_client import API, Client, without_secrets
from registry.sources.servers import TrackingServer, tracking_servers

#: Seconds between two packets of MLflow's answers; a person may be waiting.
READ = 10.0


def observe(addresses: Iterable[Address]) -> Observed:
    """Look once. Never raises for what does not answer: that is what is seen then."""
    at = timezone.now()
    answers = ask_all(addresses)
    return Observed(at=at, sources=tuple(_source(server) for server in tracking_servers()), answers=answers)


def _source(server: TrackingServer) -> Source:
    try:
        with Client(server, read=READ) as client:
            return _read(client, server)
    except Refused as refusal:
        return Source(without_secrets(server.uri), server.name, problem=refusal.sentence)


def _read(client: Client, server: TrackingServer) -> Source:
    """Every model, alias and version. Raises ``Refused`` when the server cannot be read or is not MLflow's."""
    try:
        registered, listed, prefix = client.registered_models(), client.versions(), server.prefix
        return Source(
            client.address,
            server.name,
            models=frozenset(f"{prefix}{each['name']}" for each in registered),
            aliases={
                (f"{prefix}{each['name']}", str(alias["alias"])): str(alias["version"])
                for each in registered
                for alias in each.get("aliases") or []
            },
            versions={
                (f"{prefix}{name}", int(each["version"])): SourceVersion(
                    str(each.get("source") or "")[:1000], str(each.get("run_id") or "")
                )
                for name, numbered in listed.items()
                for each in numbered
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise client.strange(f"{client.address}/{API}") from error
