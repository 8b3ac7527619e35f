"""Addresses of the registry API under /api/v1/."""

from __future__ import annotations

from django.urls import path

from registry.api import (
    advice,
    catalogue,
    deployments,
    documents,
    endpoints,
    findings,
    lineage,
    openlineage,
    places,
    runs,
    sources,
)

app_name = "registry-api"
urlpatterns = [
    path("models", catalogue.Models.as_view(), name="models"),
    path("models/<str:name>", catalogue.ModelDetail.as_view(), name="model"),
    path("models/<str:name>/versions", catalogue.Versions.as_view(), name="versions"),
    path("models/<str:name>/versions/<int:number>", catalogue.VersionDetail.as_view(), name="version"),
    path("models/<str:name>/card", documents.ModelCard.as_view(), name="model_card"),
    path("models/<str:name>/versions/<int:number>/bom", documents.VersionBom.as_view(), name="version_bom"),
    path("models/<str:name>/versions/<int:number>/diff", documents.VersionDiff.as_view(), name="version_diff"),
    path("datasets", catalogue.Datasets.as_view(), name="datasets"),
    path("datasets/<str:name>", catalogue.DatasetDetail.as_view(), name="dataset"),
    path("datasets/<str:name>/versions", catalogue.DatasetVersions.as_view(), name="dataset_versions"),
    path("environments", places.Environments.as_view(), name="environments"),
    path("environments/<str:slug>", places.EnvironmentDetail.as_view(), name="environment"),
    path("environments/<str:slug>/serving", places.Serving.as_view(), name="serving"),
    path("endpoints", endpoints.Endpoints.as_view(), name="endpoints"),
    path("endpoints/<str:name>", endpoints.EndpointDetail.as_view(), name="endpoint"),
    path("deployments/history", places.History.as_view(), name="deployment_history"),
    path("runs/<str:run_id>", runs.OneRun.as_view(), name="run"),
    path("sources", sources.Sources.as_view(), name="sources"),
    path("sources/imports", sources.Imports.as_view(), name="imports"),
    path("lineage", openlineage.LineageAndEvents.as_view(), name="lineage"),
    path("lineage/batch", openlineage.Batch.as_view(), name="lineage_batch"),
    path("lineage/events", openlineage.Events.as_view(), name="lineage_events"),
    path("lineage/events/<str:digest>", openlineage.EventText.as_view(), name="lineage_event"),
    path("lineage/openlineage", openlineage.Out.as_view(), name="lineage_out"),
    path("lineage/closure", lineage.Closure.as_view(), name="lineage_closure"),
    path("lineage/paths", lineage.Paths.as_view(), name="lineage_paths"),
    path("deployments/<int:number>", deployments.OneDeployment.as_view(), name="deployment"),
    path("deployments/<int:number>/records", deployments.DeploymentRecords.as_view(), name="deployment_records"),
    path("strategy-advice", advice.StrategyAdvice.as_view(), name="strategy_advice"),
    path("rollbacks/drills", deployments.Drills.as_view(), name="drills"),
    path("findings", findings.Findings.as_view(), name="findings"),
    path("findings/<int:number>", findings.FindingDetail.as_view(), name="finding"),
    path("findings/<int:number>/take", findings.FindingTaking.as_view(), name="take_finding"),
    path("findings/<int:number>/close", findings.FindingClosing.as_view(), name="close_finding"),
    path("reconciler/runs", findings.Runs.as_view(), name="reconciler_runs"),
]
