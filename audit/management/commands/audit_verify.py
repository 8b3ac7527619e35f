"""``manage.py audit_verify``: compute the whole log again. Exit 0: fine; 1: tampered; 2: could not verify."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, TextIO

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from audit import checks
from audit.merkle.checkpoint import Vkey
from audit.verification import Verdict, verify_log

FINE, TAMPERED, UNVERIFIED = 0, 1, 2
_EXITS = {"verified": FINE, "failed": TAMPERED, "unknown": UNVERIFIED}
_BAR = 30


class Progress:
    """A bar on a terminal, a line for every tenth elsewhere; on standard error, so that output stays output."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._terminal, self._tenth = stream, stream.isatty(), -1

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` entries were read."""
        if not total:
            return
        if self._terminal:
            filled = _BAR * done // total
            bar = "█" * filled + "·" * (_BAR - filled)
            self._stream.write(f"\r{bar} {done:,} of {total:,} entries" + ("\n" if done == total else ""))
            self._stream.flush()
        elif (tenth := 10 * done // total) > self._tenth:
            self._tenth = tenth
            self._stream.write(f"{done:,} of {total:,} entries\n")


class Command(BaseCommand):
    help = "Verify every entry, tile, checkpoint and privilege of the log. Exit 0 fine, 1 tampered, 2 not verified."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """``--checkpoint`` and ``--vkey`` bring what was kept outside this machine."""
        parser.add_argument("--checkpoint", action="append", default=[], help="a signed checkpoint that you kept")
        parser.add_argument("--vkey", action="append", default=[], help="a verification key that you kept")
        parser.add_argument("--log", type=int, default=None, help="the number of an earlier log (default: the current)")
        parser.add_argument("--record", action="store_true", help="store the result for the Verify page")
        parser.add_argument(
            "--resume",
            nargs="?",
            type=Path,
            const=Path(settings.STATE_DIR) / "verification.state",
            help="go on where an interrupted run with --resume stopped; it keeps its place in this file",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints one line for each step, then the verdict."""
        if options["record"] and options["resume"]:
            raise CommandError("--record shows the result on every page, and a resumed run did not read everything.")
        try:
            heads = [Path(name).read_text() for name in options["checkpoint"]]
            vkeys = [Vkey.parse(text.strip()) for text in options["vkey"]]
            verdict = verify_log(
                checks.signer_for_reading(),
                heads=heads,
                vkeys=vkeys,
                number=options["log"],
                progress=Progress(sys.stderr),
                state=options["resume"],
            )
            if options["record"]:
                checks.record(verdict, source="operator")
        except (OSError, ValueError, psycopg.Error, Error) as error:
            self.stderr.write(f"could not verify: {error}")
            sys.exit(UNVERIFIED)
        except KeyboardInterrupt:
            self.stderr.write(
                "\ncould not verify: interrupted" + (" (resume with --resume)" if options["resume"] else "")
            )
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
        if verdict.not_read:
            self.stdout.write(
                f"not read again: entries #0 to #{verdict.not_read - 1}, read by the run that this one resumed"
            )
        if verdict.findings:
            self.stdout.write(f"first difference: {verdict.findings[0]}")
