"""Addresses of the registry API under /api/v1/."""

from __future__ import annotations

from django.urls import path

from registry.api import catalogue, documents, places

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
    path("deployments/history", places.History.as_view(), name="deployment_history"),
    path("lineage", places.Lineage.as_view(), name="lineage"),
]
