"""``manage.py audit_verify``: compute every log again. Exit 0: fine; 1: tampered; 2: could not verify."""

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
from audit.all_logs import LogResult, Survey, verify_all
from audit.merkle.checkpoint import Vkey

FINE, TAMPERED, UNVERIFIED = 0, 1, 2
_EXITS = {"verified": FINE, "failed": TAMPERED, "unknown": UNVERIFIED}
_WORDS = {"verified": "verified", "failed": "TAMPERED", "unknown": "could not verify"}
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
    help = "Verify every entry, tile, checkpoint and privilege of every log. Exit 0 fine, 1 tampered, 2 not verified."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """``--checkpoint`` and ``--vkey`` bring what was kept outside this machine."""
        parser.add_argument("--checkpoint", action="append", default=[], help="a signed checkpoint that you kept")
        parser.add_argument("--vkey", action="append", default=[], help="a verification key that you kept")
        parser.add_argument("--log", type=int, default=None, help="the number of one log (default: every log)")
        parser.add_argument("--record", action="store_true", help="store the result for the Verify page")
        parser.add_argument(
            "--resume",
            nargs="?",
            type=Path,
            const=Path(settings.STATE_DIR) / "verification.state",
            help="go on where an interrupted run with --resume stopped; it keeps its place in this file",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints a section for each log, with one line for each step, then the verdict."""
        if options["record"] and options["resume"]:
            raise CommandError("--record shows the result on every page, and a resumed run did not read everything.")
        if options["record"] and options["log"]:
            raise CommandError("--record shows the result on every page, and --log leaves out the other logs.")
        try:
            heads = [Path(name).read_text() for name in options["checkpoint"]]
            vkeys = [Vkey.parse(text.strip()) for text in options["vkey"]]
            survey = verify_all(
                checks.signer_for_reading(),
                heads=heads,
                vkeys=vkeys,
                only=options["log"],
                progress=Progress(sys.stderr),
                state=options["resume"],
            )
            if options["record"]:
                checks.record(survey, source="operator")
        except (OSError, ValueError, LookupError, psycopg.Error, Error) as error:
            self.stderr.write(f"could not verify: {error}")
            sys.exit(UNVERIFIED)
        except KeyboardInterrupt:
            self.stderr.write(
                "\ncould not verify: interrupted" + (" (resume with --resume)" if options["resume"] else "")
            )
            sys.exit(UNVERIFIED)
        for result in survey.results:
            self._print(survey, result)
        self._conclude(survey)
        sys.exit(_EXITS[survey.outcome])

    def _print(self, survey: Survey, result: LogResult) -> None:
        if survey.several:
            self.stdout.write(f"log {result.number}: {result.origin} ({result.state})")
        verdict = result.verdict
        for step in (*(verdict.steps if verdict else ()), result.step):
            if step is result.step and not (step.detail or step.findings):
                continue
            self.stdout.write(f"{step.state:8} {step.name:12} {step.detail}")
            for finding in step.findings:
                self.stdout.write(f"         {finding}")
        if verdict:
            self.stdout.write(f"{_WORDS[result.outcome]}: {verdict.size} entries, root {verdict.root.hex()}")
            if verdict.not_read:
                self.stdout.write(
                    f"not read again: entries #0 to #{verdict.not_read - 1}, read by the run that this one resumed"
                )

    def _conclude(self, survey: Survey) -> None:
        if survey.several:
            self.stdout.write(f"all logs: {_WORDS[survey.outcome]}")
        if survey.findings:
            self.stdout.write(f"first difference: {survey.findings[0]}")
