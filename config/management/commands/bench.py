"""``manage.py bench NAME``: one benchmark; both sides run in one go and the last line is their ratio."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.stack.programs import PYTHON, ROOT

FOLDER = ROOT / "tests" / "benchmarks"


def names() -> list[str]:
    """Every benchmark in ``tests/benchmarks``."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


class Command(BaseCommand):
    """Run one benchmark by name."""

    help = "Run a benchmark from tests/benchmarks; it ends with `NAME ratio=<x> goal=<y>`."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Its name."""
        parser.add_argument("name", help="one of: " + ", ".join(names()))

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it in a process of its own."""
        if options["name"] not in names():
            raise CommandError(f"There is no benchmark {options['name']!r}; there are: {', '.join(names())}.")
        # The settings of this command are not the benchmark's: with them, a page answers that it wants HTTPS.
        environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        command = [PYTHON, "-m", f"tests.benchmarks.{options['name']}"]
        sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)
