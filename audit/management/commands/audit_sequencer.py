"""``manage.py audit_sequencer``: numbers committed entries every 200 ms and has the tree signed."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit.log import log_id
from audit.sequencer import AlreadyRunning, LogFrozen, Sequencer
from audit.signer import SignerUnavailable
from audit.signer_protocol import SignerClient, read_secret

POLL = 0.2
#: Seconds before the next try when the database or the signer does not answer, or another sequencer holds the log.
PATIENCE = 1.0
#: A frozen log is looked at again this often: it thaws by itself only if the right state comes back.
FROZEN_PATIENCE = 10.0

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Give committed entries their place in the log and have it signed. One process for each log."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or SIGINT."""
        if not settings.SEQUENCER_DATABASE_URL:
            raise CommandError("Set SEQUENCER_DATABASE_URL to the database as the role audit_sequencer.")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        sequencer: Sequencer | None = None
        trouble = ""
        while not stop.is_set():
            pause, problem = POLL, ""
            try:
                sequencer = sequencer or self._sequencer()
                sequencer.run_once()
            except LogFrozen:
                pause = FROZEN_PATIENCE
            except (AlreadyRunning, SignerUnavailable, psycopg.Error) as error:
                pause, problem = PATIENCE, str(error)
            if problem != trouble:
                logger.log(logging.ERROR if problem else logging.INFO, "sequencer: %s", problem or "working again")
                trouble = problem
            stop.wait(pause)
        if sequencer is not None:
            sequencer.close()

    def _sequencer(self) -> Sequencer:
        secret = read_secret(Path(settings.SIGNER_SECRET_FILE))
        signer = SignerClient(settings.SIGNER_ADDRESS, secret)
        return Sequencer(settings.SEQUENCER_DATABASE_URL, signer, log_id=log_id())
