"""The sequencer gives committed entries their index, builds the tree and has it signed.

In code and tests: ``Sequencer(connection_url, signer).run_once()`` numbers and signs everything that is committed.
``connection_url`` names the role ``audit_sequencer``; ``signer`` is an ``audit.signer.Signer(state_dir, origin)`` or an
``audit.signer_protocol.SignerClient(address, secret)``. The first run opens the log.

Two steps, never one: the leaves are committed first, and only then is the tree signed. Signing inside the transaction
would brick the log when it rolls back after the signature and a lower id commits before the next try.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import psycopg

from audit import leaves, orders
from audit.actors import Actor
from audit.entry_copies import EntryCopies
from audit.frozen import LogFrozen
from audit.keyring import keyring
from audit.leaves import AlreadyRunning
from audit.log import entry_bytes, new_event_id
from audit.merkle.checkpoint import Head
from audit.merkle.tree import GrowingTree
from audit.models.events import Event
from audit.signer import SignerRefusal, Signing
from audit.stored_tree import StoredTree

#: At most 128 MiB if each entry had the greatest length.
BATCH = 2000
#: Batches of a backlog after which entries with late, lower ids are looked for again.
RESCAN = 50
#: Milliseconds that closing waits for writers before entries are sequenced again.
CLOSING_PATIENCE = 500

__all__ = ["AlreadyRunning", "LogFrozen", "Sequencer"]

logger = logging.getLogger(__name__)

# Rows of older transactions than the watermark are all in the tree, so whatever is left begins here. The watermark is 0
# with every process: nothing depends on transaction numbers that a restore may set back. Not min(e.id): that would walk
# the whole log by its key for the first row that fits.
_LOWEST = "SELECT min(e.id + 0) FROM audit.entry e WHERE e.log_id = %s AND e.txid >= %s::xid8"
# Both sides of the anti-join begin at the same id, so a batch costs what it holds, however long the log or the backlog.
_UNSEQUENCED = """
    SELECT e.id, e.event_id, e.object_key, e.entry, e.leaf_hash, e.created_at FROM audit.entry e
    WHERE e.log_id = %(log)s AND e.id >= %(lowest)s
    AND NOT EXISTS (SELECT FROM audit.leaf l
                    WHERE l.log_id = %(log)s AND l.entry_id >= %(lowest)s AND l.entry_id = e.id)
    ORDER BY {first} e.id LIMIT %(batch)s
"""
# Statistics lag behind a burst of entries; a plan that reads and sorts the whole backlog for each batch is then chosen.
# Before PostgreSQL 18 a plan that sorts all the same seems so dear that it is compiled first: 0.3 s for a dozen keys.
_IN_ORDER = "SET enable_sort = off; SET enable_hashjoin = off; SET enable_bitmapscan = off; SET jit = off"
# What the log opens with comes first even when others were waiting.
_OPENING = """
    SELECT s.event_id, (SELECT k.event_id FROM audit.key k WHERE k.log_id = s.log_id AND k.from_size = 0 LIMIT 1)
    FROM audit.log_state s WHERE s.log_id = %s AND s.kind = 'opened'
"""


class Sequencer:
    """The one sequencer of a log, over a database connection of its own (no pooler: it holds a session lock)."""

    def __init__(
        self, connection_url: str, signer: Signing, *, log_id: int = 1, batch: int = BATCH, copies: str = ""
    ) -> None:
        self._url, self._signer, self._log_id, self._batch = connection_url, signer, log_id, batch
        self._copies = EntryCopies(Path(copies)) if copies else None
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._tree: GrowingTree | None = None
        self._signed = Head(signer.origin, 0, b"")
        self._watermark = self._horizon = "0"
        self._floor = self._newest = 0
        self._reported = ""
        self._ending = self._key_ended = False
        self.finished = False

    @property
    def log_id(self) -> int:
        """The number of the log."""
        return self._log_id

    def run_once(self) -> int:
        """Number and sign all that is committed by now; returns how many entries got their index.

        It returns although writers go on, however fast they are.

        When an order to close the log is among them, the log gets its last entry and its final checkpoint, and
        ``finished`` becomes True. Raises ``LogFrozen``, ``AlreadyRunning``, ``SignerUnavailable`` (what is numbered
        stays numbered and is signed next time) or ``psycopg.Error``; it can be called again after any of them.
        """
        self._ready()
        newest = self._fetch("SELECT coalesce(max(id), 0) FROM audit.entry WHERE log_id = %s", [self._log_id])[0][0]
        total = 0
        while True:
            integrated = self.integrate()
            self.sign()
            total += integrated
            if integrated == self._batch and self._newest < newest:
                continue
            # A log ends only when nothing of it waits: with a full batch there may be more.
            if integrated == self._batch or not self._ended():
                return total

    def integrate(self) -> int:
        """Step one: give up to one batch of entries their index, in one durable transaction."""
        tree = self._ready()
        connection = self._connected()
        try:
            with connection.transaction():
                if not self._floor:
                    self._horizon = self._fetch("SELECT pg_snapshot_xmin(pg_current_snapshot())::text", [])[0][0]
                entries = self._unsequenced(tree)
                if entries:
                    for order in leaves.store(self._connected(), self._log_id, tree, entries):
                        orders.carry_out(self._fetch, self._signer, self._log_id, order)
                        self._ending |= order.event == Event.LOG_CLOSING
                        self._key_ended |= order.event == Event.KEY_RETIRED
        except BaseException:
            self._tree = None  # what is in memory may be ahead of the database now
            self._ending, self._floor = False, 0
            raise
        self._newest = entries[-1][0] if entries else self._newest  # not the largest: what opens a log comes first
        if len(entries) < self._batch:
            self._watermark = self._horizon
        # A backlog is read on from the last id; ids that committed late below it are found when it begins again at 0.
        onward = len(entries) == self._batch and tree.size > self._batch and tree.size // self._batch % RESCAN
        self._floor = entries[-1][0] if onward else 0
        return len(entries)

    def sign(self) -> None:
        """Step two: have the tree signed that is durable by now, and store the checkpoint."""
        tree = self._ready()
        if not tree.size or tree.size == self._signed.size:
            return
        if self._copies:
            self._copies.extend(self._fetch, self._log_id, tree.size)
        root = tree.root()
        head, _ = self._signer.head()
        if head.size > tree.size:
            self._freeze(f"the signer has signed {head.size} entries, the database holds {tree.size}")
        try:
            note = self._signer.sign(tree.size, root, self._stored(tree.size).consistency(head.size))
        except SignerRefusal as refusal:
            self._freeze(f"the signer refused: {refusal}")
        self._connected().execute(
            "INSERT INTO audit.checkpoint (log_id, size, root, note, watermark) VALUES (%s, %s, %s, %s, %s::xid8)",
            [self._log_id, tree.size, root, note, self._watermark],
        )
        self._signed = Head(self._signer.origin, tree.size, root)
        if self._key_ended:
            orders.destroy_ended(self._fetch, self._signer, self._log_id, tree.size)
            self._key_ended = False

    def close(self) -> None:
        """Give up the lock and the connection."""
        if self._connection is not None:
            leaves.release(self._connection)
        self._connection = self._tree = None

    def _unsequenced(self, tree: GrowingTree) -> list[tuple[Any, ...]]:
        """The next batch: from where the backlog was left, else from the first entry that may have no index yet."""
        lowest = self._floor + 1
        if not self._floor:
            lowest = self._fetch(_LOWEST, [self._log_id, self._watermark])[0][0]
            if lowest is None:
                return []
        values: dict[str, Any] = {"log": self._log_id, "lowest": lowest, "batch": self._batch}
        first = ""
        if not tree.size:
            first = "array_position(%(opening)s::uuid[], e.event_id),"
            values["opening"] = list(self._fetch(_OPENING, [self._log_id])[0])
        return self._fetch(_UNSEQUENCED.format(first=first), values)

    def _ended(self) -> bool:
        """Go one step on with closing the log when a successor waits; True when there is more to sequence now."""
        if not self._ending:
            return False
        successor = self._fetch("SELECT origin FROM audit.log WHERE log_id = %s", [self._log_id + 1])
        if not successor:  # the order was in vain
            self._ending = False
            return False
        if self._fetch("SELECT FROM audit.log_state WHERE log_id = %s AND kind = 'closed'", [self._log_id]):
            self._signer.finish()
            self._ending, self.finished = False, True
            return False
        return self._close(successor[0][0])

    def _close(self, successor: str) -> bool:
        """Write the last entry once every transaction that still writes to this log has ended; False: not yet."""
        vkeys = [str(vkey) for vkey in self._signer.opened(successor).vkeys]
        facts = {"origin": self._signer.origin, "successor": {"origin": successor, "vkeys": vkeys}}
        data = self._entry(Event.LOG_CLOSED, facts)
        try:
            with self._connected().transaction():
                self._connected().execute(f"SET LOCAL lock_timeout = {CLOSING_PATIENCE}")
                self._fetch("SELECT audit.close_log(%s, %s, %s)", [self._log_id, *data])
        except psycopg.errors.LockNotAvailable:
            logger.warning("log %d cannot be closed yet: a transaction still writes to it", self._log_id)
            return False
        return True

    def _entry(self, event: Event, facts: dict[str, Any]) -> tuple[Any, bytes]:
        event_id, subject, key = new_event_id(), f"log:{self._signer.origin}", f"log/{self._log_id}"
        by = Actor.system("sequencer")
        return event_id, entry_bytes(event_id, event, subject, key, facts=facts, commitments={}, by=by)

    def _ready(self) -> GrowingTree:
        """The tree in memory; before the first index is given it is compared with what the signer signed."""
        if self._tree is None or self._connection is None or self._connection.closed:
            self._watermark, self._floor = "0", 0
            self._open()
            self._tree = self._agreed()
        return self._tree

    def _agreed(self) -> GrowingTree:
        head, _ = self._signer.head()
        sizes = "SELECT (SELECT coalesce(max(leaf_index) + 1, 0) FROM audit.leaf WHERE log_id = %s),"
        sizes += " (SELECT coalesce(max(size), 0) FROM audit.checkpoint WHERE log_id = %s)"
        size, published = self._fetch(sizes, [self._log_id] * 2)[0]
        ring = keyring(self._fetch, self._log_id)
        if head.size > size:
            self._freeze(f"the signer has signed {head.size} entries, the database holds {size}: an old state?")
        if published > head.size:
            self._freeze(f"a checkpoint of {published} entries is published, the signer has signed only {head.size}")
        # It may hold more: keys that it has just made sign beside the announced ones until their entry is in the tree.
        needed = {vkey for each in (head.size, size + 1) for vkey in ring.valid_at(each)}
        if not needed or not needed <= set(self._signer.vkeys):
            self._freeze("the signer's keys are not those that the log announced")
        try:
            if self._stored(head.size).root() != head.root:
                self._freeze(f"the first {head.size} entries are not those that were signed")
            tree = self._stored(size).growing()
        except LookupError as error:
            self._freeze(f"the tree is incomplete: {error}")
        if tree.size != size or (size and tree.root() != self._stored(size).root()):
            self._freeze("the tiles and the leaves of the tree disagree")
        self._signed = Head(self._signer.origin, published, b"")
        self._ending = bool(self._fetch("SELECT FROM audit.log WHERE log_id = %s", [self._log_id + 1]))
        self._key_ended = any(key.to_size is not None for key in ring.keys)
        return tree

    def _open(self) -> None:
        """Write the log's row, its opening entry and the announcement of its keys, once."""
        sql = "SELECT l.origin, EXISTS (SELECT FROM audit.log_state s WHERE s.log_id = l.log_id AND s.kind = 'opened')"
        rows = self._fetch(sql + " FROM audit.log l WHERE l.log_id = %s", [self._log_id])
        origin = self._signer.origin
        if rows and rows[0][0] != origin:
            self._freeze(f"the log is called {rows[0][0]}, the signer signs for {origin}")
        if rows and rows[0][1]:
            return
        head, _ = self._signer.head()
        if head.size:
            self._freeze(f"the signer has signed {head.size} entries, the database holds no log")
        vkeys = [str(vkey) for vkey in self._signer.vkeys]
        opened = self._entry(Event.LOG_OPENED, {"origin": origin} | self._previous(origin))
        announced = self._entry(Event.KEY_ANNOUNCED, {"vkeys": vkeys, "from_size": 0})
        values = [self._log_id, origin, *opened, *announced, vkeys]
        self._connected().execute("SELECT audit.open_log(%s, %s, %s, %s, %s, %s, %s)", values)

    def _previous(self, origin: str) -> dict[str, Any]:
        """What the first entry of a successor says of the log before it: its final head, and why it ended."""
        sql = "SELECT l.origin, c.size, c.root, c.note FROM audit.log l JOIN audit.checkpoint c ON c.log_id = l.log_id"
        rows = self._fetch(sql + " WHERE l.log_id = %s ORDER BY c.size DESC LIMIT 1", [self._log_id - 1])
        if not rows:
            return {}
        name, size, root, note = rows[0]
        order = orders.closing_facts(self._fetch, self._log_id - 1, origin)
        told = {key: order[key] for key in ("reason", "stands") if key in order}
        return {"previous": orders.told_head(Head(name, size, bytes(root)), note) | told}

    def _freeze(self, reason: str) -> NoReturn:
        """Say why once where the pages can see it, then raise ``LogFrozen``."""
        self._tree = None
        if reason != self._reported:
            logger.critical("the log is frozen: %s", reason)
            self._connected().execute(
                "INSERT INTO audit.self_check (log_id, source, outcome, size, finding, started_at)"
                " VALUES (%s, 'sequencer', 'failed', 0, %s, clock_timestamp())",
                [self._log_id, f"frozen: {reason}"],
            )
            self._reported = reason
        if self._connection is not None:
            leaves.release(self._connection)  # whoever mends the log needs it
        raise LogFrozen(reason)

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            connection = psycopg.connect(self._url, autocommit=True, application_name="audit-sequencer")
            weakref.finalize(self, connection.close)
            leaves.take_lock(connection, self._log_id)
            connection.execute(_IN_ORDER)
            # What is signed must be on disk first, whatever the server's default allows others to lose.
            connection.execute(
                "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit')"
                " IN ('off', 'local')"
            )
            self._connection = connection
        return self._connection

    def _fetch(self, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return self._connected().execute(sql, values).fetchall()

    def _stored(self, size: int) -> StoredTree:
        return StoredTree(self._fetch, self._log_id, size)
