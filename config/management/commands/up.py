"""``manage.py up``: the whole stack, without the demo story."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from config.stack.run import Stack, supervised


class Command(BaseCommand):
    """Start everything and stay in the foreground until Ctrl-C."""

    help = "Start the whole stack: database, broker, MLflow, the log's processes, web server and workers."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until interrupted."""
        sys.exit(supervised(self.say, self.ready))

    def say(self, sentence: str) -> None:
        """Print at once, even into a pipe."""
        print(sentence, flush=True)

    def ready(self, stack: Stack) -> None:
        """Say where, and once who."""
        if stack.account:
            self.say(stack.account)
        self.say(f"Countersign is ready at {stack.url}  (Ctrl-C stops it)")
