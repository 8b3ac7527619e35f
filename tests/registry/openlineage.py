"""Events of OpenLineage for tests, and the graph that they make."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from audit.actors import Actor
from registry.models import LineageEdge
from registry.sources import openlineage, openlineage_intake
from registry.sources.openlineage_events import Identity
from registry.sources.openlineage_names import name_of

BY = Actor.system("tests")
PRODUCER = "https://example.org/producer"
SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
WAREHOUSE = "postgres://db.example:5432"


def run_id(number: int) -> str:
    """A runId that no other number has."""
    return str(UUID(int=number))


def table(name: str, version: str = "", **facets: Any) -> dict[str, Any]:
    """A data set as events name it."""
    if version:
        facets["version"] = {"datasetVersion": version}
    return {"namespace": WAREHOUSE, "name": name, "facets": facets}


def tags(**values: str) -> dict[str, Any]:
    """The tags facet with these keys."""
    return {"tags": [{"key": key, "value": value, "source": "USER"} for key, value in values.items()]}


def run_event(
    number: int = 1,
    state: str = "COMPLETE",
    reads: tuple[Any, ...] = (),
    writes: tuple[Any, ...] = (),
    *,
    at: str = "2026-11-20T09:00:00Z",
    **more: Any,
) -> dict[str, Any]:
    """A run's event; data sets by name, or as ``table`` gives them."""
    return {
        "eventTime": at,
        "producer": PRODUCER,
        "schemaURL": f"{SPEC}RunEvent",
        "eventType": state,
        "run": {"runId": run_id(number), "facets": {}},
        "job": {"namespace": "nightly", "name": f"job-{number}", "facets": {}},
        "inputs": [table(each) if isinstance(each, str) else each for each in reads],
        "outputs": [table(each) if isinstance(each, str) else each for each in writes],
        **more,
    }


def text(event: Any) -> bytes:
    """What a producer sends."""
    return json.dumps(event).encode()


def send(*events: dict[str, Any]) -> None:
    """Take in and apply, one after the other."""
    for event in events:
        openlineage_intake.take_in(text(event), by=BY)
        openlineage.apply_waiting()


def subject(name: str, version: str = "") -> str:
    """The subject of a table here."""
    return f"dataset:{name_of(Identity(WAREHOUSE, name, version))}"


def graph() -> set[tuple[str, str, str]]:
    """Every edge."""
    return set(LineageEdge.objects.values_list("source", "target", "kind"))
