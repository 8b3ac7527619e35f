"""``manage.py audit_posture``: roles, grants, triggers and functions against the manifest. Exit 0 equal, 1 not."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error

from audit import posture

DEVIATES, UNKNOWN = 1, 2


class Command(BaseCommand):
    help = (
        "Compare roles, grants, triggers, functions and constraints with the manifest. Exit 0 equal, 1 not, 2 unknown."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each deviation."""
        try:
            found = posture.findings(posture.fetch)
        except Error as error:
            self.stderr.write(f"could not compare: {error}")
            sys.exit(UNKNOWN)
        for finding in found:
            self.stdout.write(finding)
        if found:
            sys.exit(DEVIATES)
        self.stdout.write("The database is what the migrations made.")
