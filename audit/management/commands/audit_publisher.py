"""``manage.py audit_publisher``: brings checkpoints to witnesses, a timestamp authority and copies; raises alerts."""

from __future__ import annotations

import logging
from typing import Any

from django.core.management.base import BaseCommand

from audit.management.daemon import sequencer_database, stopped
from audit.publication import AlreadyPublishing
from audit.publisher import Publisher

#: Seconds between rounds: how often a log that grows is pushed to the witnesses.
PAUSE = 10.0

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Bring the log's checkpoints to those outside who keep it honest, and raise alerts. One process."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or SIGINT; whatever fails is said once and tried again."""
        database, stop = sequencer_database(), stopped()
        publisher = Publisher(database)
        trouble: list[str] = []
        while not stop.is_set():
            try:
                problems = publisher.run_once()
            except AlreadyPublishing as error:
                problems = [str(error)]
            for problem in problems:
                if problem not in trouble:
                    logger.error("publisher: %s", problem)
            if trouble and not problems:
                logger.info("publisher: working again")
            trouble = problems
            stop.wait(PAUSE)
        publisher.close()
