"""The app of what exists: models, versions, data sets, lineage, environments and deployments."""

from __future__ import annotations

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "registry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from registry.lineage import attached

        attached.register("deployment", "registry_deployment", "deployed")
