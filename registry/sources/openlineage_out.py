"""The lineage as events of OpenLineage that another catalogue can take in.

A run is a COMPLETE event with its inputs and outputs; data sets keep the namespace and name that their producers gave,
and those that are only known here, model versions included, are in the namespace ``countersign``. What flows without a
run (derived, tuned) is an event of a job. Each data set has an event of its own with what is known of it as tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings
from django.utils import timezone

from registry.lineage.graph import Edge
from registry.models import Dataset, OpenLineageName, Run
from registry.sources.openlineage_names import OWN

_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
_FACETS = "https://openlineage.io/spec/facets/"
_TAGS = f"{_FACETS}1-0-0/TagsDatasetFacet.json#/$defs/TagsDatasetFacet"
_VERSION = f"{_FACETS}1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"
_SYMLINKS = f"{_FACETS}1-0-1/SymlinksDatasetFacet.json#/$defs/SymlinksDatasetFacet"


def events_of(focus: str, edges: Sequence[Edge]) -> list[dict[str, Any]]:
    """Events for every node of ``edges`` and for ``focus``; data sets first, then runs and jobs. Three queries."""
    nodes = {focus} | {end for edge in edges for end in (edge.source, edge.target)}
    names = {node.partition(":")[2] for node in nodes if node.startswith("dataset:")}
    called = {each.dataset_name: each for each in OpenLineageName.objects.filter(dataset_name__in=names)}
    datasets = {each.subject: each for each in Dataset.objects.filter(name__in=names)}
    runs = {
        each.subject: each
        for each in Run.objects.filter(run_id__in=[node[4:] for node in nodes if node.startswith("run:")])
    }
    known = {node: _reference(node, called) for node in nodes if not node.startswith("run:")}
    same: dict[str, list[dict[str, Any]]] = {}
    for edge in edges:
        if edge.kind == "same":
            same.setdefault(edge.source, []).append(known[edge.target])
    now = timezone.now()
    found = [_of_dataset(known[node], datasets[node], same.get(node, []), now) for node in sorted(datasets)]
    found += [_of_run(node, runs.get(node), edges, known, now) for node in sorted(nodes) if node.startswith("run:")]
    return found + list(_of_jobs(edges, known, now))


def _reference(node: str, called: Mapping[str, OpenLineageName]) -> dict[str, Any]:
    """Namespace, name and, when it is a version of a data set, its facet."""
    kind, _colon, name = node.partition(":")
    given = called.get(name) if kind == "dataset" else None
    if given is None:
        return {"namespace": OWN, "name": name if kind == "dataset" else node, "facets": {}}
    version = {"version": {**_facet(_VERSION), "datasetVersion": given.version}} if given.version else {}
    return {"namespace": given.namespace, "name": given.name, "facets": version}


def _of_dataset(
    reference: Mapping[str, Any], dataset: Dataset, same: Sequence[Mapping[str, Any]], now: datetime
) -> dict[str, Any]:
    tags = [{"key": "classification", "value": dataset.classification, "source": OWN}]
    tags += [{"key": "region", "value": region, "source": OWN} for region in dataset.regions]
    tags += [{"key": "subjects", "value": place, "source": OWN} for place in dataset.subjects]
    tags += [{"key": "confirmed", "value": "true" if dataset.confirmed else "false", "source": OWN}]
    facets = {**reference["facets"], "tags": {**_facet(_TAGS), "tags": tags}}
    if same:
        others = [{"namespace": each["namespace"], "name": each["name"], "type": "TABLE"} for each in same]
        facets["symlinks"] = {**_facet(_SYMLINKS), "identifiers": others}
    return {**_envelope("DatasetEvent", now), "dataset": {**reference, "facets": facets}}


def _of_run(
    node: str, run: Run | None, edges: Iterable[Edge], known: Mapping[str, dict[str, Any]], now: datetime
) -> dict[str, Any]:
    listed = tuple(edges)
    params = run.params if run else {}
    job = {
        "namespace": params.get("job.namespace") or (run.tracking_server if run else "") or OWN,
        "name": params.get("job.name") or (run.name if run else "") or node,
    }
    return {
        **_envelope("RunEvent", (run.ended or run.started if run else None) or now),
        "eventType": "COMPLETE",
        "run": {"runId": _uuid(node.partition(":")[2]), "facets": {}},
        "job": {**job, "facets": {}},
        "inputs": [known[edge.source] for edge in listed if edge.target == node],
        "outputs": [known[edge.target] for edge in listed if edge.source == node],
    }


def _of_jobs(edges: Iterable[Edge], known: Mapping[str, dict[str, Any]], now: datetime) -> Iterable[dict[str, Any]]:
    into: dict[str, list[dict[str, Any]]] = {}
    for edge in edges:
        if edge.kind in ("derived", "trained", "tuned"):
            into.setdefault(edge.target, []).append(known[edge.source])
    for target, sources in sorted(into.items()):
        job = {"namespace": OWN, "name": f"made {target}", "facets": {}}
        yield {**_envelope("JobEvent", now), "job": job, "inputs": sources, "outputs": [known[target]]}


def _uuid(run_id: str) -> str:
    """MLflow's ids are UUIDs without dashes; any other one gets a UUID of its own (RFC 9562, version 5)."""
    try:
        return str(UUID(run_id))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"run:{run_id}"))


def _envelope(kind: str, moment: datetime) -> dict[str, Any]:
    said = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"eventTime": said, "producer": settings.PUBLIC_URL, "schemaURL": f"{_SCHEMA}{kind}"}


def _facet(schema: str) -> dict[str, str]:
    return {"_producer": settings.PUBLIC_URL, "_schemaURL": schema}
