"""Waiting for a pending decision: what it waits for, and when that has changed.

A waiter keeps nothing but its own thread: between two looks it has neither a transaction nor a connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection

from governance.models.decision import Decision
from governance.models.promotion import PromotionState
from registry.models import Environment, ModelVersion

#: Longest wait of one request, in seconds: below the minute after which proxies give up.
LONGEST = 50
#: Seconds between two looks.
_PACE = 1.0
_PLACES = threading.BoundedSemaphore(settings.GATE_WAITERS)

# Whatever may let a pending decision pass ends in one of these: a request, a signature, a settled state, a new round.
_MARK = """
    SELECT p.id, p.state, p.round, p.subject_digest, p.expires_at <= now(), count(s.id), max(s.signed_at)
    FROM (SELECT * FROM governance_promotion WHERE version_id = %s AND environment_id = %s ORDER BY id DESC LIMIT 1) p
    LEFT JOIN governance_signoff s ON s.promotion_id = p.id
    GROUP BY p.id, p.state, p.round, p.subject_digest, p.expires_at
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """How the newest promotion of a version in an environment stands. Two equal marks decide alike."""

    promotion: int | None = None
    state: str = ""
    round: int = 0
    subject_digest: str = ""
    over: bool = False
    signatures: int = 0
    signed_at: datetime | None = None

    def is_newer_than(self, decision: Decision) -> bool:
        """Whether anything happened since ``decision`` was made; in doubt (the same second) it did."""
        return (
            self.promotion != decision.promotion_id
            or (self.promotion is not None and self.state != PromotionState.IN_REVIEW)
            or (self.promotion is not None and self.subject_digest != decision.subject_digest)
            or self.over
            or (self.signed_at is not None and self.signed_at >= decision.decided_at)
        )


def mark_of(version: ModelVersion, environment: Environment) -> Mark:
    """One query."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [version.pk, environment.pk])
        row: tuple[Any, ...] | None = cursor.fetchone()
    return Mark(*row) if row else Mark()


@contextmanager
def place() -> Iterator[bool]:
    """True while one of this process's places for waiters is held; False when all are taken. Never blocks."""
    taken = _PLACES.acquire(blocking=False)
    try:
        yield taken
    finally:
        if taken:
            _PLACES.release()


def until_changed(look: Callable[[], Mark], before: Mark, *, ends: float) -> Mark | None:
    """The first mark that differs from ``before``; None when ``ends`` (``time.monotonic``) comes first.

    Must run outside a transaction: the connection is given back before each pause.
    """
    while True:
        now = look()
        if now != before:
            return now
        connection.close()
        left = ends - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(_PACE, left))


def ends_in(seconds: float) -> float:
    """The moment, by the monotonic clock, at which a wait of ``seconds`` is over; capped at ``LONGEST``."""
    return time.monotonic() + min(seconds, LONGEST)
