"""Tables of the registry; those that state facts are governed: no row of them changes without an entry in the log."""

from registry.models.datasets import FACTS, GATE_FACTS, Classification, Dataset, LawfulBasis
from registry.models.deliveries import MLflowDelivery, MLflowLook
from registry.models.deployments import SHARING_STRATEGIES, Deployment, DeploymentKind, Strategy
from registry.models.environments import Endpoint, EndpointPace, Environment, Perimeter, Protocol, Tier
from registry.models.findings import Finding, FindingKind, FindingSeen, FindingState, ReconcilerRun
from registry.models.imports import SourceImport
from registry.models.incidents import Incident, IncidentState
from registry.models.lineage import MAY_CIRCLE, EdgeKind, LineageEdge, Run
from registry.models.mirror import MirrorKind, MirrorState, MLflowWrite
from registry.models.openlineage import OpenLineageEvent, OpenLineageName, OpenLineageOutcome, OutcomeState
from registry.models.records import StrategyRecord
from registry.models.versions import Alias, Model, ModelVersion, Risk

__all__ = [
    "FACTS",
    "GATE_FACTS",
    "MAY_CIRCLE",
    "SHARING_STRATEGIES",
    "Alias",
    "Classification",
    "Dataset",
    "Deployment",
    "DeploymentKind",
    "EdgeKind",
    "Endpoint",
    "EndpointPace",
    "Environment",
    "Finding",
    "FindingKind",
    "FindingSeen",
    "FindingState",
    "Incident",
    "IncidentState",
    "LawfulBasis",
    "LineageEdge",
    "MLflowDelivery",
    "MLflowLook",
    "MLflowWrite",
    "MirrorKind",
    "MirrorState",
    "Model",
    "ModelVersion",
    "OpenLineageEvent",
    "OpenLineageName",
    "OpenLineageOutcome",
    "OutcomeState",
    "Perimeter",
    "Protocol",
    "ReconcilerRun",
    "Risk",
    "Run",
    "SourceImport",
    "Strategy",
    "StrategyRecord",
    "Tier",
]
