"""``manage.py attestation_keys list|rotate``: the keys that sign attestations and permits."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit.operators import add_by, operator
from audit.refusals import Refusal
from governance import keys
from governance.models.attestation_key import AttestationKey


class Command(BaseCommand):
    help = "List the keys that sign attestations and permits, or put a new one in use."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One of two actions."""
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="every key, the newest first")
        add_by(actions.add_parser("rotate", help="retire the key in use and announce another"))

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the keys concerned. Exit 1 with a sentence when it cannot be done."""
        if options["action"] == "list":
            for row in AttestationKey.objects.all():
                until = f"retired {row.last_used_at:%Y-%m-%dT%H:%M:%SZ}" if row.last_used_at else "in use"
                self.stdout.write(f"{row.kid}  since {row.first_used_at:%Y-%m-%dT%H:%M:%SZ}  {until}")
            return
        try:
            row = keys.rotate(by=operator(options["by"]))
        except (Refusal, OSError) as error:
            raise CommandError(error.sentence if isinstance(error, Refusal) else str(error)) from error
        self.stdout.write(f"in use: {row.kid}")
        self.stdout.write("Give it to whoever verifies: it is at /.well-known/countersign-keys.json.")
