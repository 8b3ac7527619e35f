"""Work that the clock starts."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings

from audit.actors import Actor
from registry.sources import mlflow

logger = logging.getLogger(__name__)


@shared_task(name="registry.tasks.import_from_mlflow", ignore_result=True)  # type: ignore[untyped-decorator]
def import_from_mlflow() -> None:
    """Import what is new on the tracking server; nothing to do without one."""
    if not settings.MLFLOW_TRACKING_URI:
        logger.info("MLFLOW_TRACKING_URI is not set: nothing is imported")
        return
    mlflow.import_all(by=Actor.system("mlflow-import"))
