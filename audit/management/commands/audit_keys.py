"""``manage.py audit_keys rotate|list|retire``: the log's signing keys. Private keys never leave the signer."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError

from audit import checks, rotation
from audit.operators import add_by, operator
from audit.refusals import Refusal
from audit.signer import SignerRefusal, SignerUnavailable


class Command(BaseCommand):
    help = "List the log's signing keys, give it new ones, or retire the old ones after the overlap."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One of three actions."""
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="every key with the tree sizes that it signs")
        add_by(actions.add_parser("rotate", help="make new keys; both sets sign during the overlap"))
        add_by(actions.add_parser("retire", help="end the older keys after the overlap; the signer destroys them"))

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints the keys concerned. Exit 1 with a sentence when it cannot be done."""
        try:
            if options["action"] == "list":
                self._list()
                return
            signer = checks.signer_for_writing()
            change = rotation.rotate if options["action"] == "rotate" else rotation.retire
            vkeys = change(signer, by=operator(options["by"]))
        except (SignerUnavailable, SignerRefusal, psycopg.Error) as error:
            raise CommandError(str(error)) from error
        except Refusal as refusal:
            raise CommandError(refusal.sentence) from refusal
        verb = "announced" if options["action"] == "rotate" else "retired with the next checkpoint"
        for vkey in vkeys:
            self.stdout.write(f"{verb}: {vkey.algorithm_name} {vkey.name}+{vkey.key_id.hex()}")
        if options["action"] == "rotate":
            self.stdout.write("Give the new keys to your auditors and witnesses: they are at /log/vkey.")

    def _list(self) -> None:
        for key in rotation.ring().keys:
            until = "" if key.to_size is None else str(key.to_size)
            name = f"{key.vkey.name}+{key.vkey.key_id.hex()}"
            self.stdout.write(f"{key.vkey.algorithm_name:10} {name}  sizes {key.from_size}-{until}")
