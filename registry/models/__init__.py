"""Tables of the registry; every one but the deliveries is governed: no row changes without an entry in the log."""

from registry.models.datasets import FACTS, GATE_FACTS, Classification, Dataset, LawfulBasis
from registry.models.deliveries import MLflowDelivery
from registry.models.deployments import SHARING_STRATEGIES, Deployment, DeploymentKind, Strategy
from registry.models.environments import Endpoint, Environment, Perimeter, Protocol, Tier
from registry.models.lineage import EdgeKind, LineageEdge, Run
from registry.models.versions import Alias, Model, ModelVersion, Risk

__all__ = [
    "FACTS",
    "GATE_FACTS",
    "SHARING_STRATEGIES",
    "Alias",
    "Classification",
    "Dataset",
    "Deployment",
    "DeploymentKind",
    "EdgeKind",
    "Endpoint",
    "Environment",
    "LawfulBasis",
    "LineageEdge",
    "MLflowDelivery",
    "Model",
    "ModelVersion",
    "Perimeter",
    "Protocol",
    "Risk",
    "Run",
    "Strategy",
    "Tier",
]
