"""``manage.py test``: everything that must hold before a change lands; it prints as it goes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config.stack.programs import PYTHON, ROOT

#: Three processes for two cores, since journeys mostly wait for servers. ``tests/conftest.py`` puts the slowest first,
#: and keeps on one process what shares a server.
SPREAD = ["-n", "3", "--dist", "loadscope", "--no-loadscope-reorder"]


class Command(BaseCommand):
    """Run the suite, or what is named on the command line, with pytest."""

    help = "Run all tests (arguments are handed to pytest)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Whatever pytest understands."""
        parser.add_argument(
            "--all-servers",
            action="store_true",
            help="also explain models that Triton, BentoML, Ray Serve and Seldon really serve (installs 2 GB once)",
        )
        parser.add_argument("pytest", nargs="*", help="paths and options for pytest; put -- before options")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit with pytest's code; the state folder is thrown away."""
        ours = {"DJANGO_SETTINGS_MODULE", "COUNTERSIGN_OFFLINE"}
        environment = {k: v for k, v in os.environ.items() if k not in ours}
        state = tempfile.mkdtemp(prefix="countersign-tests-")
        environment["COUNTERSIGN_STATE"] = state
        chosen = options["pytest"] or ["tests", *SPREAD]
        if options["all_servers"]:
            chosen = [*chosen, "--all-servers"]
        try:
            command = [PYTHON, "-m", "pytest", "--durations=15", *chosen]
            sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)
        finally:
            shutil.rmtree(state, ignore_errors=True)
