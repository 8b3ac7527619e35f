"""``manage.py reconcile``: compare once what runs with what is on record."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.actors import Actor
from audit.refusals import Refusal
from registry import finding_wording
from registry.models import Finding
from registry.reconciling.run import reconcile


class Command(BaseCommand):
    """Exit 0 when everything was looked at and nothing differs, 1 when something differs, 2 when something could not be
    looked at and nothing else differs, and when no look was possible."""

    help = "Compare what MLflow says and what endpoints serve with the deployments on record."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the conclusion and each finding that waits or is accepted."""
        try:
            run = reconcile(by=Actor.system("reconciler"))
        except Refusal as refusal:
            raise CommandError(refusal.sentence, returncode=2) from refusal
        standing = list(Finding.objects.standing())
        self.stdout.write(finding_wording.conclusion(run, standing))
        for finding in standing:
            self.stdout.write(f"{finding.pk} {finding.get_state_display()}: {finding_wording.sentence(finding)}")
        if any(not finding.accepted and not finding_wording.unseen(finding) for finding in standing):
            raise SystemExit(1)
        if not run.complete:
            raise SystemExit(2)
