"""Settings of the OpenAPI document. Read by ``config.settings``: imports nothing of Django REST framework."""

from __future__ import annotations

from typing import Any

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "ENUM_NAME_OVERRIDES": {
        "AnalysisKindEnum": "explain.models.analyses.Kind",
        "AnalysisStateEnum": "explain.models.analyses.AnalysisState",
        "DeploymentKindEnum": "registry.models.deployments.DeploymentKind",
        "DecisionSideEnum": "explain.reasons.SIDES",
        "EvidenceTypeEnum": "governance.models.evidence.EvidenceType",
        "ExplanationStateEnum": "explain.models.jobs.State",
        "FindingKindEnum": "registry.models.findings.FindingKind",
        "FindingStateEnum": "registry.models.findings.FindingState",
        "LawEnum": "registry.models.environments.Perimeter",
    },
    "TITLE": "Countersign",
    "DESCRIPTION": (
        "Governance for machine-learning models in production: registry, gates, explanations and a log that outsiders "
        "verify. Errors are problem details (RFC 9457). POST accepts `Idempotency-Key`; every answer carries "
        "`X-Request-ID`."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.api.openapi.add_problem_responses",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "persistAuthorization": False, "validatorUrl": None},
}
