"""``manage.py audit_restore database|replay``: bring a database back, and put back what it has lost."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit import backup, checks, recovery
from audit.entry_copies import CopyDamaged
from audit.leaves import AlreadyRunning
from audit.operators import add_by, operator
from audit.refusals import Refusal
from audit.signer import SignerRefusal, SignerUnavailable


class Command(BaseCommand):
    help = "Restore a backup into an empty database, or replay missing entries byte for byte (docs/recovery.md)."
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Two actions."""
        actions = parser.add_subparsers(dest="action", required=True)
        database = actions.add_parser("database", help="restore a backup into an empty database")
        database.add_argument("folder", type=Path)
        database.add_argument("--into", required=True, metavar="URL", help="the empty database, as its administrator")
        replay = actions.add_parser("replay", help="put back entries that the database has lost")
        replay.add_argument("source", type=Path, help="a copy (ENTRY_COPIES/<log>), an unpacked or a zipped export")
        add_by(replay)

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit 1 with a sentence when it cannot be done; then nothing was written."""
        try:
            self._database(**options) if options["action"] == "database" else self._replay(**options)
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        except (
            *(backup.BackupFailed, CopyDamaged, AlreadyRunning, SignerUnavailable, SignerRefusal),
            *(psycopg.Error, OSError),
        ) as error:
            raise CommandError(str(error)) from error

    def _database(self, folder: Path, into: str, **_: Any) -> None:
        restored = backup.restore(folder, url=into)
        self.stdout.write(f"restored {restored.size} entries of {restored.origin}, root {restored.root.hex()}")
        try:
            signer = checks.signer_for_reading()
            head = signer.head()[0] if signer else None
        except (SignerUnavailable, SignerRefusal):
            head = None
        if head is None:
            self.stdout.write("The signer does not answer: compare with a checkpoint that you kept, before you serve.")
        elif head.origin == restored.origin and head.size > restored.size:
            self.stdout.write(
                f"The signer has signed {head.size} entries: the log will be frozen until the missing "
                f"{head.size - restored.size} are back: manage.py audit_restore replay SOURCE --by NAME"
            )

    def _replay(self, source: Path, by: str, **_: Any) -> None:
        actor = operator(by)
        before, after = recovery.replay(
            source, checks.signer_for_writing(), url=settings.ADMIN_DATABASE_URL(), by=actor
        )
        self.stdout.write(f"put back the entries {before} to {after - 1}; the root is the one that was signed")
