"""The composition root as a Django app, so that its commands and template tags are found."""

from __future__ import annotations

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Knows everything; nobody imports it."""

    name = "config"
    verbose_name = "Configuration"

    def ready(self) -> None:
        """Load Celery so that ``shared_task`` binds to our application."""
        from config import celery  # noqa: F401
