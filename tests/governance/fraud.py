"""A model that a real MLflow server has, in the bank of ``scene``, and the whole way of deploying it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
from django.utils import timezone

from audit.actors import Actor
from governance import gate, rollouts
from registry import versions
from registry.lineage import edges
from registry.models import Deployment, Finding, MLflowWrite, ModelVersion
from registry.reconciling.run import reconcile
from tests.governance import scene
from tests.registry.tracking import Tracking

MODEL = "fraud"


@dataclass
class Scene:
    """The bank, the versions of ``fraud`` by their number, and their server."""

    bank: scene.Bank
    version: dict[int, ModelVersion]
    server: Tracking

    def deploy(self, number: int, *, alias: str = "", place: Any = None, **more: Any) -> Deployment:
        """The whole way: two signatures where they are needed, the gate, its permit."""
        place, version = place or self.bank.uae, self.version[number]
        if place != self.bank.staging:
            scene.approved(self.bank, version=version, place=place)
        answer = gate.check(version, place, by=scene.actor("ci"), **more)
        assert answer.decision is not None
        return rollouts.record_deploy(
            answer.decision.public_id,
            secret=answer.secret,
            environment=place.slug,
            alias=alias,
            by=scene.actor("ci"),
        )

    def tags(self, number: int) -> dict[str, str]:
        """What MLflow has."""
        url = f"{self.server.url}/api/2.0/mlflow/model-versions/get"
        found = httpx.get(url, params={"name": MODEL, "version": str(number)}, timeout=30).json()["model_version"]
        return {each["key"]: each["value"] for each in found.get("tags", [])}

    def alias(self, name: str = "champion") -> str:
        """Where MLflow has it."""
        url = f"{self.server.url}/api/2.0/mlflow/registered-models/get"
        found = httpx.get(url, params={"name": MODEL}, timeout=30).json()["registered_model"]
        return {each["alias"]: each["version"] for each in found.get("aliases", [])}.get(name, "")


def register(server: Tracking) -> None:
    """Three versions in MLflow."""
    server.call("POST", "registered-models/create", name=MODEL)
    for number in (1, 2, 3):
        server.call("POST", "model-versions/create", name=MODEL, source=f"s3://models/{MODEL}/{number}")


def build(tracking: Tracking) -> Scene:
    """The same three here."""
    bank = scene.build()
    model = versions.register_model(
        MODEL, title="Fraud", owner="risk", purpose="Finds fraud.", risk="high", risk_reason="x", by=scene.SET_UP
    )
    found = {}
    for number in (1, 2, 3):
        found[number] = versions.register_version(
            model,
            digest=scene.digest_of(f"{MODEL}/{number}"),
            trained_by=["yusuf"],
            tracking_server=tracking.url,
            source_uri=f"s3://models/{MODEL}/{number}",
            by=scene.SET_UP,
        )
        edges.record_edge(bank.loans, found[number], by=scene.SET_UP)
    return Scene(bank, found, tracking)


def states() -> list[tuple[str, str, str]]:
    return [(each.kind, each.value, each.state) for each in MLflowWrite.objects.order_by("id")]


def alias_findings() -> list[str]:
    reconcile(by=Actor.system("tests"))
    return [each.concerns for each in Finding.objects.standing() if each.kind == "alias_moved"]


def make_due() -> None:
    """As if the wait were over."""
    MLflowWrite.objects.filter(state="waiting").update(due=timezone.now())
