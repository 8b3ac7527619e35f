"""What the log's processes that run until they are stopped have in common."""

from __future__ import annotations

import signal
import threading

from django.conf import settings
from django.core.management.base import CommandError


def stopped() -> threading.Event:
    """An event that SIGTERM or SIGINT sets; waiting for it is the pause between two rounds."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def sequencer_database() -> str:
    """The database as the role ``audit_sequencer``. Raises ``CommandError`` when nobody said where it is."""
    url: str = settings.SEQUENCER_DATABASE_URL
    if not url:
        raise CommandError("Set SEQUENCER_DATABASE_URL to the database as the role audit_sequencer.")
    return url
