"""``manage.py registry_import``: import what is new on the MLflow server of ``MLFLOW_TRACKING_URI``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.actors import Actor
from audit.refusals import Refusal
from registry.sources import mlflow


class Command(BaseCommand):
    """Imports once; a refusal is a sentence and exit 1."""

    help = "Import models, versions, aliases, runs and data sets that are new on the MLflow server."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was written, and what was left out and why."""
        try:
            summary = mlflow.import_all(by=Actor.system("mlflow-import"))
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        self.stdout.write(
            f"{summary.models} models, {summary.versions} versions and {summary.aliases} aliases written, "
            f"{summary.unchanged} versions known already, {summary.out_of_band} changes outside the ledger."
        )
        for problem in summary.problems:
            self.stderr.write(problem)
