"""``manage.py audit_sequencer``: numbers committed entries every 200 ms and has the tree signed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand

from audit import shards
from audit.entry_copies import CopyDamaged
from audit.frozen import LogFrozen
from audit.management.daemon import sequencer_database, stopped
from audit.sequencer import AlreadyRunning, Sequencer
from audit.signer import SignerRefusal, SignerUnavailable
from audit.signer_protocol import SignerClient, read_secret

POLL = 0.2
#: After a batch the next look comes sooner: with work at hand an entry waits for this and one signature.
BUSY_POLL = 0.05
#: Seconds before the next try when the database or the signer does not answer, or another sequencer holds the log.
PATIENCE = 1.0
#: A frozen log is looked at again this often: it thaws by itself once the missing entries are back.
FROZEN_PATIENCE = 10.0

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Give committed entries their place in the log and have it signed. One process for each log."
    requires_system_checks = []
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until SIGTERM or SIGINT."""
        database, stop = sequencer_database(), stopped()
        sequencer: Sequencer | None = None
        trouble = ""
        while not stop.is_set():
            pause, problem = POLL, ""
            try:
                sequencer = sequencer or _sequencer(database)
                pause = BUSY_POLL if sequencer.run_once() else POLL
                sequencer = _unless_over(sequencer, database) if sequencer.finished else sequencer
            except LogFrozen as frozen:
                pause, problem = FROZEN_PATIENCE, f"the log is frozen: {frozen}\n{frozen.procedure}"
                sequencer = _unless_over(sequencer, database)
            except (AlreadyRunning, SignerUnavailable, SignerRefusal, CopyDamaged, psycopg.Error, OSError) as error:
                pause, problem = PATIENCE, str(error)
            if problem != trouble:
                logger.log(logging.ERROR if problem else logging.INFO, "sequencer: %s", problem or "working again")
                trouble = problem
            stop.wait(pause)
        if sequencer is not None:
            sequencer.close()


def _sequencer(database: str) -> Sequencer:
    """The sequencer of the oldest log that still takes entries; of the first one when there is none yet."""
    signer = SignerClient(settings.SIGNER_ADDRESS, read_secret(Path(settings.SIGNER_SECRET_FILE)))
    shard = _unfinished(database)
    number, origin = (shard.log_id, shard.origin) if shard else (1, shards.first_origin())
    return Sequencer(database, signer.opened(origin), log_id=number, copies=settings.ENTRY_COPIES)


def _unfinished(database: str) -> shards.Shard | None:
    with psycopg.connect(database, application_name="audit-sequencer") as connection:
        return shards.unfinished(lambda sql, values: connection.execute(sql, values).fetchall())


def _unless_over(sequencer: Sequencer | None, database: str) -> Sequencer | None:
    """A log that is finished, or frozen and given up meanwhile, makes room for its successor."""
    if sequencer is None:
        return None
    shard = _unfinished(database) if not sequencer.finished else None
    if shard is not None and shard.log_id == sequencer.log_id:
        return sequencer
    sequencer.close()
    return None
