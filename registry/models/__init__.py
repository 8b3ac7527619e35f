"""Tables of the registry, governed but for what others sent: no row changes without an entry in the log."""

from registry.models.datasets import Classification, Dataset
from registry.models.deliveries import MLflowDelivery
from registry.models.deployments import SHARING_STRATEGIES, Deployment, DeploymentKind, Strategy
from registry.models.environments import Endpoint, Environment, Perimeter, Protocol, Tier
from registry.models.imports import SourceImport
from registry.models.incidents import Incident, IncidentState
from registry.models.lineage import MAY_CIRCLE, EdgeKind, LineageEdge, Run
from registry.models.openlineage import OpenLineageEvent, OpenLineageName, OpenLineageOutcome, OutcomeState
from registry.models.versions import Alias, Model, ModelVersion, Risk

__all__ = [
    "MAY_CIRCLE",
    "SHARING_STRATEGIES",
    "Alias",
    "Classification",
    "Dataset",
    "Deployment",
    "DeploymentKind",
    "EdgeKind",
    "Endpoint",
    "Environment",
    "Incident",
    "IncidentState",
    "LineageEdge",
    "MLflowDelivery",
    "Model",
    "ModelVersion",
    "OpenLineageEvent",
    "OpenLineageName",
    "OpenLineageOutcome",
    "OutcomeState",
    "Perimeter",
    "Protocol",
    "Risk",
    "Run",
    "SourceImport",
    "Strategy",
    "Tier",
]
