"""An import against what MLflow's REST API says itself: counts, and a sample field by field."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

import httpx
import rfc8785

from registry.models import Alias, Dataset, LineageEdge, Model, ModelVersion, Run
from registry.queries import lineage_closure
from tests.registry.many_models import COLUMNS
from tests.registry.tracking import Tracking


def state() -> dict[str, list[tuple[Any, ...]]]:
    """Everything that an import writes, without keys and times: two imports of one server end in the same."""
    edges = LineageEdge.objects.values_list("source", "target", "kind").order_by("source", "target", "kind")
    return {
        "models": list(Model.objects.order_by("name").values_list("name", "purpose")),
        "versions": list(
            ModelVersion.objects.order_by("model__name", "number").values_list(
                "model__name", "number", "digest", "run_id", "source_uri"
            )
        ),
        "runs": list(Run.objects.order_by("run_id").values_list("run_id", "name", "started", "ended")),
        "data sets": list(Dataset.objects.order_by("name").values_list("name", "digest", "classification")),
        "aliases": list(Alias.objects.order_by("model__name").values_list("model__name", "name", "version__number")),
        "edges": list(edges),
    }


def differences(tracking: Tracking, count: int, seed: int = 7) -> list[str]:
    """What differs between ``count`` versions taken at random and the server's own answers."""
    rows = list(ModelVersion.objects.select_related("model").order_by("model__name", "number"))
    chosen = random.Random(seed).sample(rows, min(count, len(rows)))
    with httpx.Client(base_url=f"{tracking.url}/api/2.0", timeout=30) as http:
        return [difference for row in chosen for difference in _of(http, row)]


def _of(http: httpx.Client, row: ModelVersion) -> list[str]:
    asked = {"name": row.model.name, "version": str(row.number)}
    version = http.get("/mlflow/model-versions/get", params=asked).json()["model_version"]
    logged = http.get(f"/mlflow/logged-models/{version['source'].removeprefix('models:/')}").json()["model"]["info"]
    run = http.get("/mlflow/runs/get", params={"run_id": logged["source_run_id"]}).json()["run"]
    folder = logged["artifact_uri"].removeprefix("mlflow-artifacts:/")
    inputs = run["inputs"]["dataset_inputs"]
    there = {
        "run": logged["source_run_id"],
        "source": version["source"],
        "trained by": ["yusuf"],
        "metrics": {each["key"]: str(each["value"]) for each in run["data"]["metrics"]},
        "columns": COLUMNS,
        "digest": _digest(http, folder),
        "data sets": sorted((each["dataset"]["name"], each["dataset"]["digest"]) for each in inputs),
        "regions": sorted(tag["value"] for each in inputs for tag in each["tags"] if tag["key"] == "regions"),
        "params": {each["key"]: each["value"] for each in run["data"]["params"]},
        "run's name": run["info"]["run_name"],
    }
    reached = [each.dataset for each in lineage_closure(row)]
    stored = Run.objects.get(run_id=row.run_id)
    here = {
        "run": row.run_id,
        "source": row.source_uri,
        "trained by": row.trained_by,
        "metrics": {key: str(float(value)) for key, value in row.metrics.items()},
        "columns": row.schema["inputs"],
        "digest": row.digest,
        "data sets": sorted((each.name, each.digest) for each in reached),
        "regions": sorted(",".join(each.regions) for each in reached),
        "params": stored.params,
        "run's name": stored.name,
    }
    return [
        f"{row.label} {name}: {here[name]} here, {there[name]} there" for name in there if here[name] != there[name]
    ]


def _digest(http: httpx.Client, folder: str) -> str:
    listed = http.get("/mlflow-artifacts/artifacts", params={"path": folder}).json()["files"]
    files = []
    for name in sorted(each["path"] for each in listed):
        content = http.get(f"/mlflow-artifacts/artifacts/{folder}/{name}").content
        files.append({"path": name, "sha256": hashlib.sha256(content).hexdigest()})
    return "sha256:" + hashlib.sha256(rfc8785.dumps(json.loads(json.dumps(files)))).hexdigest()
