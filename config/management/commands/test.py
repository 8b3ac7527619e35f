"""``manage.py test``: everything that must hold before a change lands; each stage prints as it goes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config.stack.programs import PYTHON, ROOT

#: The suite in the order that finds mistakes soonest. Journeys and browser share one real stack, so they run alone.
STAGES: list[tuple[str, list[str]]] = [
    ("rules of the house, and every app", ["tests", "--ignore=tests/journeys", "--ignore=tests/browser", "-n", "2"]),
    ("journeys and pages on the real stack", ["tests/journeys", "tests/browser"]),
]


class Command(BaseCommand):
    """Run the suite, or what is named on the command line, with pytest."""

    help = "Run all tests (arguments are handed to pytest)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Whatever pytest understands."""
        parser.add_argument("pytest", nargs="*", help="paths and options for pytest; put -- before options")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit with 0 only when every stage passed."""
        stages = [("chosen tests", options["pytest"])] if options["pytest"] else STAGES
        failed = [name for name, arguments in stages if not self.passes(name, arguments)]
        for name in failed:
            print(f"FAILED: {name}", flush=True)
        sys.exit(1 if failed else 0)

    def passes(self, name: str, arguments: list[str]) -> bool:
        """One stage in a process of its own, with a state folder that is thrown away."""
        print(f"── {name}", flush=True)
        environment = {
            k: v for k, v in os.environ.items() if k not in {"DJANGO_SETTINGS_MODULE", "COUNTERSIGN_OFFLINE"}
        }
        state = tempfile.mkdtemp(prefix="countersign-tests-")
        environment["COUNTERSIGN_STATE"] = state
        try:
            command = [PYTHON, "-m", "pytest", "--durations=15", *arguments]
            return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0
        finally:
            shutil.rmtree(state, ignore_errors=True)
