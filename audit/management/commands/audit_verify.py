"""``manage.py audit_verify``: compute the whole log again. Exit 0: fine; 1: tampered; 2: could not verify."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import psycopg
from django.core.management.base import BaseCommand
from django.db import Error

from audit import checks
from audit.merkle.checkpoint import NoteInvalid, Vkey
from audit.verification import Verdict, verify_log

FINE, TAMPERED, UNVERIFIED = 0, 1, 2
_EXITS = {"verified": FINE, "failed": TAMPERED, "unknown": UNVERIFIED}


class Command(BaseCommand):
    help = "Verify every entry, tile, checkpoint and privilege of the log. Exit 0 fine, 1 tampered, 2 not verified."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """``--checkpoint`` and ``--vkey`` bring what was kept outside this machine."""
        parser.add_argument("--checkpoint", action="append", default=[], help="a signed checkpoint that you kept")
        parser.add_argument("--vkey", action="append", default=[], help="a verification key that you kept")
        parser.add_argument("--record", action="store_true", help="store the result for the Verify page")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints one line for each step, then the verdict."""
        try:
            heads = [Path(name).read_text() for name in options["checkpoint"]]
            vkeys = [Vkey.parse(text.strip()) for text in options["vkey"]]
            verdict = verify_log(checks.signer_for_reading(), heads=heads, vkeys=vkeys)
            if options["record"]:
                checks.record(verdict, source="operator")
        except (OSError, NoteInvalid, psycopg.Error, Error) as error:
            self.stderr.write(f"could not verify: {error}")
            sys.exit(UNVERIFIED)
        self._print(verdict)
        sys.exit(_EXITS[verdict.outcome])

    def _print(self, verdict: Verdict) -> None:
        for step in verdict.steps:
            self.stdout.write(f"{step.state:8} {step.name:12} {step.detail}")
            for finding in step.findings:
                self.stdout.write(f"         {finding}")
        words = {"verified": "verified", "failed": "TAMPERED", "unknown": "could not verify"}
        self.stdout.write(f"{words[verdict.outcome]}: {verdict.size} entries, root {verdict.root.hex()}")
        if verdict.findings:
            self.stdout.write(f"first difference: {verdict.findings[0]}")
