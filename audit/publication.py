"""What the publisher keeps: its own database connection with a lock, and how each place outside last behaved."""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import psycopg
from django.utils.translation import gettext as _

from audit.merkle.checkpoint import Head, NoteInvalid, parse
from audit.outgoing import NotDelivered

#: First half of the advisory lock's key («audp»); the second is 0: one publisher serves every log.
LOCK = 0x61756470
#: Seconds between tries while a place does not take checkpoints: doubled with each failure up to the cap.
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0
#: Timestamps and copies of checkpoints are made this often while the log grows, and with each new day (UTC).
INTERVAL = timedelta(hours=1)
_LONGEST_SENTENCE = 1000

logger = logging.getLogger(__name__)


class AlreadyPublishing(Exception):  # noqa: N818
    """Another publisher holds the lock."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed checkpoint as it is stored. ``current``: its log is the one that is written to now."""

    log_id: int
    size: int
    root: bytes
    note: str
    at: datetime
    current: bool

    @property
    def origin(self) -> str:
        """The log's name: the note's first line."""
        return self.note.partition("\n")[0]

    @property
    def head(self) -> Head:
        """What the note says."""
        return Head(self.origin, self.size, self.root)


@dataclass
class Patience:
    """Exponential back-off of one place, in seconds of this process' clock."""

    clock: Callable[[], float] = monotonic
    failures: int = 0
    next_try: float = field(default=float("-inf"))

    @property
    def over(self) -> bool:
        """Whether it may be tried now."""
        return self.clock() >= self.next_try

    def failed(self) -> None:
        """Wait longer before the next try."""
        self.next_try = self.clock() + min(FIRST_PAUSE * 2 ** min(self.failures, 20), LONGEST_PAUSE)
        self.failures += 1

    def worked(self) -> None:
        """Begin again with the shortest pause."""
        self.failures, self.next_try = 0, float("-inf")


class Register:
    """The database as the role ``audit_sequencer``; whoever has it connected is the only publisher."""

    def __init__(self, connection_url: str) -> None:
        self._url = connection_url
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._told: dict[tuple[int, str, str], tuple[str, str]] = {}

    def fetch(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Rows of a statement. Raises ``psycopg.Error`` or ``AlreadyPublishing``."""
        return self._connected().execute(sql, values).fetchall()

    def execute(self, sql: str, values: Sequence[Any]) -> None:
        """Run a statement; committed on return."""
        self._connected().execute(sql, values)

    def checkpoints(self) -> list[Checkpoint]:
        """The newest checkpoint of the two newest logs: one that was closed still needs its last cosignatures."""
        sql = """
            SELECT l.log_id, c.size, c.root, c.note, c.created_at, l.log_id = (SELECT max(log_id) FROM audit.log)
            FROM (SELECT log_id FROM audit.log ORDER BY log_id DESC LIMIT 2) l
            CROSS JOIN LATERAL (SELECT size, root, note, created_at FROM audit.checkpoint c
                                WHERE c.log_id = l.log_id ORDER BY size DESC LIMIT 1) c
            ORDER BY l.log_id
        """
        return [Checkpoint(log, size, bytes(root), *rest) for log, size, root, *rest in self.fetch(sql, [])]

    def cosignature_lines(self, checkpoint: Checkpoint) -> list[str]:
        """The newest cosignature of each witness on this checkpoint, each with its line feed."""
        sql = """
            SELECT DISTINCT ON (key_name, key_id) line FROM audit.cosignature WHERE log_id = %s AND size = %s
            ORDER BY key_name, key_id, signed_at DESC
        """
        return [line for (line,) in self.fetch(sql, [checkpoint.log_id, checkpoint.size])]

    def is_due(self, checkpoint: Checkpoint, kind: str, now: datetime) -> bool:
        """Whether this kind of anchor is to be made now: hourly while the log grows, and with each new day."""
        sql = "SELECT size, created_at FROM audit.anchor WHERE log_id = %s AND kind = %s ORDER BY size DESC LIMIT 1"
        rows = self.fetch(sql, [checkpoint.log_id, kind])
        if not rows:
            return True
        size, at = rows[0]
        if size >= checkpoint.size:
            return False
        return not checkpoint.current or now - at >= INTERVAL or at.astimezone(UTC).date() != now.date()

    def anchored(self, checkpoint: Checkpoint, kind: str, token: bytes) -> None:
        """Keep the proof that the checkpoint was given away."""
        sql = "INSERT INTO audit.anchor (log_id, size, kind, token) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
        self.execute(sql, [checkpoint.log_id, checkpoint.size, kind, token])

    def tell(self, checkpoint: Checkpoint, kind: str, target: str, state: str, sentence: str = "") -> None:
        """Store how it went, when that differs from the last time."""
        key, told = (checkpoint.log_id, kind, target), (state, sentence[:_LONGEST_SENTENCE])
        if key not in self._told:
            sql = "SELECT state, sentence FROM audit.publication WHERE (log_id, kind, target) = (%s, %s, %s)"
            rows = self.fetch(f"{sql} ORDER BY id DESC LIMIT 1", list(key))
            self._told[key] = (rows[0][0], rows[0][1]) if rows else ("", "")
        if self._told[key] == told:
            return
        sql = "INSERT INTO audit.publication (log_id, kind, target, state, sentence, size)"
        self.execute(f"{sql} VALUES (%s, %s, %s, %s, %s, %s)", [*key, *told, checkpoint.size])
        self._told[key] = told
        level = logging.INFO if state == "working" else logging.ERROR
        logger.log(level, "%s: %s", f"{kind} {target}".strip(), sentence or "working")

    def close(self) -> None:
        """Give up the lock, then the connection: the server lets go of a lost one only a moment later, and whoever
        publishes next would find the lock taken.
        """
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):  # lost already: then the lock goes with it
                self._connection.execute("SELECT pg_advisory_unlock(%s, 0)", [LOCK])
            self._connection.close()
        self._connection = None

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            connection = psycopg.connect(
                self._url, autocommit=True, application_name="audit-publisher", connect_timeout=10
            )
            weakref.finalize(self, connection.close)
            got = connection.execute("SELECT pg_try_advisory_lock(%s, 0)", [LOCK]).fetchone()
            if not got or not got[0]:
                connection.close()
                raise AlreadyPublishing("another publisher is running for this database")
            self._connection = connection
            self._told.clear()
        return self._connection


def refuse_going_back(kept: str, head: Head) -> None:
    """Compare what a place outside holds with what it is to get. Raises ``NotDelivered`` (conflict).

    A place that holds a larger tree, or another one of the same size, has found what a restored or rewritten database
    would hide.
    """
    try:
        known = parse(kept).head
    except NoteInvalid as error:
        raise NotDelivered(
            "conflict", _("The checkpoint that lies there cannot be read: %(problem)s.") % {"problem": error}
        ) from error
    if known.origin != head.origin:
        raise NotDelivered(
            "conflict", _("It holds checkpoints of another log, «%(origin)s».") % {"origin": known.origin}
        )
    if known.size > head.size:
        raise NotDelivered(
            "conflict",
            _("It holds a checkpoint of %(known)d entries, more than this log has. Verify the log first.")
            % {"known": known.size},
        )
    if known.size == head.size and known.root != head.root:
        raise NotDelivered(
            "conflict",
            _("It holds another checkpoint of %(known)d entries. Verify the log first.") % {"known": known.size},
        )
