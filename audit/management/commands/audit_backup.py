"""``manage.py audit_backup FOLDER``: the database with its log, its newest checkpoint and a manifest of digests."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit import backup
from audit.refusals import Refusal


class Command(BaseCommand):
    help = "Back up the database into a new folder. The signer's state and the subjects' keys are not part of it."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The folder must be new or empty."""
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 1 with a sentence when it cannot be done."""
        try:
            head = backup.make(options["folder"], url=settings.ADMIN_DATABASE_URL())
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        except (backup.BackupFailed, psycopg.Error, OSError) as error:
            raise CommandError(str(error)) from error
        told = f"checkpoint {head.size} of {head.origin}" if head else "no checkpoint yet"
        self.stdout.write(f"backed up to {options['folder']}: {told}")
