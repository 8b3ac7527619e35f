"""The registry's pages, mounted at /."""

from __future__ import annotations

from django.urls import path

from registry.lists import LISTS
from registry.pages import (
    adviser,
    catalogue,
    changing,
    deployments,
    endpoints,
    environments,
    findings,
    lineage,
    listing,
    places,
    runs,
    sources,
    versions,
    webhooks,
)

app_name = "registry"
urlpatterns = [
    path("models", catalogue.model_list, name="models"),
    path("models/<str:name>", catalogue.model_detail, name="model"),
    path("models/<str:name>/<int:number>", catalogue.version_detail, name="version"),
    path("models/<str:name>/<int:number>/diff", versions.version_diff, name="version_diff"),
    path("models/<str:name>/<int:number>/bom.cdx.json", versions.version_bom, name="version_bom"),
    path("models/<str:name>/card", versions.model_card, name="model_card"),
    path("models/<str:name>/card.md", versions.model_card_markdown, name="model_card_markdown"),
    path("models/<str:name>/change", changing.model_change, name="model_change"),
    path("datasets", catalogue.dataset_list, name="datasets"),
    path("datasets/<str:name>", catalogue.dataset_detail, name="dataset"),
    path("datasets/<str:name>/change", changing.dataset_change, name="dataset_change"),
    path("environments", places.environment_list, name="environments"),
    path("environments/new", environments.environment_register, name="environment_register"),
    path("environments/<str:slug>", places.environment_detail, name="environment"),
    path("environments/<str:slug>/change", environments.environment_change, name="environment_change"),
    path("environments/<str:slug>/endpoints/new", endpoints.endpoint_register, name="endpoint_register"),
    path("environments/<str:slug>/endpoints/<str:name>/change", endpoints.endpoint_change, name="endpoint_change"),
    path("deployments", places.deployment_list, name="deployments"),
    path("deployments/adviser", adviser.adviser, name="adviser"),
    path("deployments/<int:number>", deployments.deployment_detail, name="deployment"),
    path("reconciler", findings.reconciler, name="reconciler"),
    path("reconciler/run", findings.run_reconciler, name="run_reconciler"),
    path("reconciler/findings/<int:number>", findings.finding_detail, name="finding"),
    path("reconciler/findings/<int:number>/take", findings.take_finding, name="take_finding"),
    path("reconciler/findings/<int:number>/close", findings.close_finding, name="close_finding"),
    path("runs/<str:run_id>", runs.run_detail, name="run"),
    path("lineage", lineage.lineage, name="lineage"),
    path("sources", sources.source_list, name="sources"),
    path("sources/import", sources.import_now, name="import_now"),
    path("webhooks/mlflow", webhooks.from_mlflow, name="mlflow_webhook"),
    *(
        path(f"{name}.{kind}", listing.table, {"name": name, "kind": kind}, name=f"{name}_{kind}")
        for name in LISTS
        for kind in ("csv", "xlsx")
    ),
]
