"""Work that the clock starts."""

from __future__ import annotations

import logging

from celery import shared_task

from audit.actors import Actor
from audit.refusals import Conflict
from registry.reconciling.run import reconcile
from registry.sources import mlflow, mlflow_mirror, mlflow_webhooks, openlineage, servers

logger = logging.getLogger(__name__)

#: Imports in one task while MLflow keeps telling; the poll takes what comes after them.
ROUNDS = 10


@shared_task(name="registry.tasks.import_from_mlflow", ignore_result=True)  # type: ignore[untyped-decorator]
def import_from_mlflow() -> None:
    """Import what is new on the tracking server; nothing to do without one.

    Deliveries that come meanwhile are looked after at once: their own task found this import running, and left.
    """
    if not servers.tracking_servers():
        logger.info("MLFLOW_TRACKING_URI is not set: nothing is imported")
        return
    for _round in range(ROUNDS):
        told = mlflow_webhooks.waiting()
        mlflow.import_all(by=Actor.system("mlflow-import"))
        mlflow_webhooks.looked(told)
        if not mlflow_webhooks.waiting():
            return


@shared_task(name="registry.tasks.mirror_to_mlflow", ignore_result=True)  # type: ignore[untyped-decorator]
def mirror_to_mlflow() -> None:
    """Tell MLflow what waits; nothing to do while no server is told of changes. Safe to run twice."""
    if any(server.mirrors for server in servers.tracking_servers()):
        mlflow_mirror.send_waiting()


@shared_task(name="registry.tasks.apply_openlineage", ignore_result=True)  # type: ignore[untyped-decorator]
def apply_openlineage() -> None:
    """Read the events of OpenLineage that wait into the lineage."""
    if done := openlineage.apply_waiting():
        logger.info("%d events of OpenLineage were applied", done)


@shared_task(name="registry.tasks.reconcile", ignore_result=True)  # type: ignore[untyped-decorator]
def look_for_differences() -> None:
    """Compare what runs with what is on record; nothing to do while somebody else is at it."""
    try:
        reconcile(by=Actor.system("reconciler"))
    except Conflict:
        logger.info("another look of the reconciler goes on")
