"""Tables of the registry; those that state facts are governed: no row of them changes without an entry in the log."""

from registry.models.datasets import Classification, Dataset
from registry.models.deliveries import MLflowDelivery, MLflowLook
from registry.models.deployments import SHARING_STRATEGIES, Deployment, DeploymentKind, Strategy
from registry.models.environments import Endpoint, Environment, Perimeter, Protocol, Tier
from registry.models.findings import Finding, FindingKind, FindingSeen, FindingState, ReconcilerRun
from registry.models.lineage import EdgeKind, LineageEdge, Run
from registry.models.records import StrategyRecord
from registry.models.versions import Alias, Model, ModelVersion, Risk

__all__ = [
    "SHARING_STRATEGIES",
    "Alias",
    "Classification",
    "Dataset",
    "Deployment",
    "DeploymentKind",
    "EdgeKind",
    "Endpoint",
    "Environment",
    "Finding",
    "FindingKind",
    "FindingSeen",
    "FindingState",
    "LineageEdge",
    "MLflowDelivery",
    "MLflowLook",
    "Model",
    "ModelVersion",
    "Perimeter",
    "Protocol",
    "ReconcilerRun",
    "Risk",
    "Run",
    "Strategy",
    "StrategyRecord",
    "Tier",
]
