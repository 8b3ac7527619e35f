"""Mending what a restore, a failover or a stolen key has broken (design 5.9 and 5.10): never «continue and re-sign».

Everything here needs the database's administrator, because the roles that run the server cannot do it by design.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from django.db import transaction
from django.utils.translation import gettext as _

from audit import leaves, log, orders, queries, shards
from audit.actors import Actor
from audit.entry_copies import read_copy
from audit.keyring import keyring
from audit.merkle import canonical
from audit.merkle.checkpoint import Head, NoteInvalid, parse, verify_any
from audit.merkle.tree import leaf_hash
from audit.models.events import Event
from audit.refusals import BadInput, Conflict
from audit.shards import Shard
from audit.signer import Signing
from audit.stored_tree import Fetch, StoredTree

Connection = psycopg.Connection[tuple[Any, ...]]
_BATCH = 1000

_SIZE = "SELECT coalesce(max(leaf_index) + 1, 0) FROM audit.leaf WHERE log_id = %s"
_PUT_ENTRY = """
    INSERT INTO audit.entry (log_id, event_id, object_key, entry) VALUES (%s, %s, %s, %s)
    ON CONFLICT (log_id, event_id) DO NOTHING
"""
_ROW = """
    SELECT id, event_id, object_key, entry, leaf_hash, created_at FROM audit.entry
    WHERE log_id = %s AND event_id = %s AND entry = %s
"""
_PUT_CHECKPOINT = """
    INSERT INTO audit.checkpoint (log_id, size, root, note, watermark) VALUES (%s, %s, %s, %s, '0'::xid8)
"""
_CARRY_ENTRIES = """
    INSERT INTO audit.entry (log_id, event_id, object_key, entry)
    SELECT %s, e.event_id, e.object_key, e.entry FROM audit.entry e WHERE e.log_id = %s
    AND NOT EXISTS (SELECT FROM audit.leaf l WHERE (l.log_id, l.entry_id) = (e.log_id, e.id)) ORDER BY e.id
"""
_CARRY_PAYLOADS = """
    INSERT INTO audit.payload (log_id, event_id, field, subject, salt, key_id, body)
    SELECT n.log_id, p.event_id, p.field, p.subject, p.salt, p.key_id, p.body
    FROM audit.entry n JOIN audit.payload p ON (p.log_id, p.event_id) = (%s, n.event_id)
    WHERE n.log_id = %s
"""


@contextmanager
def as_owner(url: str) -> Iterator[Connection]:
    """A connection of the administrator that acts as the owner of the log's tables, in one transaction.

    Raises ``BadInput`` without an address and for a role that may not act as the owner.
    """
    if not url:
        raise BadInput(
            _("Set ADMIN_DATABASE_URL to the database as its administrator: the server's own roles cannot do this."),
            code="recovery.no_administrator",
        )
    with psycopg.connect(url, application_name="audit-recovery") as connection:
        try:
            connection.execute("SET ROLE audit_owner")
        except psycopg.errors.InsufficientPrivilege as error:
            raise BadInput(
                _("The role of ADMIN_DATABASE_URL may not act as audit_owner: use the one that prepares the database."),
                code="recovery.no_administrator",
            ) from error
        connection.execute("SET LOCAL lock_timeout = '10s'")
        yield connection


def replay(source: Path, signer: Signing, *, url: str, by: Actor) -> tuple[int, int]:
    """Put the entries back that the database has lost since its head was signed, from a copy or an export.

    Nothing is written unless their exact bytes in their order lead to exactly the root that was signed. Returns the
    sizes ``(before, after)``. Private values and the governed rows do not come back with them. Raises ``Conflict``
    when nothing is missing or the source does not fit, ``CopyDamaged``, ``AlreadyRunning`` while a sequencer works.
    """
    head, note = signer.head()
    with as_owner(url) as connection:
        fetch = _fetching(connection)
        number = _number_of(fetch, signer.origin)
        leaves.take_lock_for_transaction(connection, number)
        before = int(fetch(_SIZE, [number])[0][0])
        if before >= head.size:
            raise Conflict(
                _("Nothing is missing: the signer has signed %(signed)d entries and the database holds %(size)d.")
                % {"signed": head.size, "size": before},
                code="recovery.whole",
            )
        missing = list(islice(read_copy(source, before), head.size - before))
        _must_lead_to(head, fetch, number, before, missing)
        tree = StoredTree(fetch, number, before).growing()
        for start in range(0, len(missing), _BATCH):
            rows = [_put_back(connection, number, data) for data in missing[start : start + _BATCH]]
            for order in leaves.store(connection, number, tree, rows):
                orders.carry_out(fetch, signer, number, _as_then(order))
        connection.execute(_PUT_CHECKPOINT, [number, head.size, head.root, note])
    with transaction.atomic():
        facts = {"from": before, "to": head.size, "root": head.root.hex()}
        log.append(Event.LOG_REPLAYED, f"log:{head.origin}", facts=facts, by=by)
    return before, head.size


def give_up(signer: Signing, *, url: str, reason: str, by: Actor) -> str:
    """Leave a log that cannot be mended and open its successor, whose first entry states the loss; returns its name.

    Entries that wait in the old log go to the successor as they are. ``reason`` is public and stays for ever. Raises
    ``Conflict`` when the log is whole: then it is closed in the ordinary way.
    """
    head, note = signer.head()
    with as_owner(url) as connection:
        fetch = _fetching(connection)
        known = shards.shards(fetch)
        lost = _must_be_broken(fetch, known, head)
        successor = shards.next_origin([shard.origin for shard in known])
        vkeys = [str(vkey) for vkey in signer.opened(successor).vkeys]
        fetch("SELECT audit.add_log(%s, %s)", [lost.log_id + 1, successor])
    with as_owner(url) as connection:
        fetch = _fetching(connection)
        connection.execute("SELECT audit.end_writing(%s)", [lost.log_id])
        restored = {"size": lost.size, "root": StoredTree(fetch, lost.log_id, lost.size).root().hex()}
        told = orders.told_head(head, note) | {"lost": True, "restored": restored, "reason": reason}
        opened = _entry(Event.LOG_OPENED, successor, lost.log_id + 1, {"origin": successor, "previous": told}, by)
        facts = {"vkeys": vkeys, "from_size": 0}
        announced = _entry(Event.KEY_ANNOUNCED, successor, lost.log_id + 1, facts, by)
        values = [lost.log_id + 1, successor, *opened, *announced, vkeys]
        connection.execute("SELECT audit.open_log(%s, %s, %s, %s, %s, %s, %s)", values)
        connection.execute(
            "INSERT INTO audit.log_state (log_id, kind, event_id) VALUES (%s, 'lost', %s)", [lost.log_id, opened[0]]
        )
        connection.execute(_CARRY_ENTRIES, [lost.log_id + 1, lost.log_id])
        connection.execute(_CARRY_PAYLOADS, [lost.log_id, lost.log_id + 1])
    signer.finish()
    return successor


def standing_head(note: str) -> dict[str, Any]:
    """The head that stands after a compromise, as the order to close holds it: signed by the log, and one of its own.

    Raises ``BadInput`` for a note that the log's keys did not sign, ``Conflict`` for a head of another history.
    """
    number = log.log_id()
    try:
        size = parse(note).head.size
        head = verify_any(note, keyring(queries.fetch, number).valid_at(size))
    except NoteInvalid as error:
        raise BadInput(
            _("This is not a checkpoint of the log: %(problem)s.") % {"problem": error}, code="recovery.checkpoint"
        ) from error
    if head.size > _size(number) or StoredTree(queries.fetch, number, head.size).root() != head.root:
        raise Conflict(
            _("The checkpoint of %(size)d entries is signed by the log's keys, but it is not this database's history.")
            % {"size": head.size},
            code="recovery.fork",
        )
    return orders.told_head(head, note)


def _size(number: int) -> int:
    return int(queries.fetch(_SIZE, [number])[0][0])


def _number_of(fetch: Fetch, origin: str) -> int:
    rows = fetch("SELECT log_id FROM audit.log WHERE origin = %s", [origin])
    if not rows:
        raise Conflict(_("The database holds no log called %(origin)s.") % {"origin": origin}, code="recovery.no_log")
    return int(rows[0][0])


def _must_lead_to(head: Head, fetch: Fetch, number: int, before: int, missing: Sequence[bytes]) -> None:
    tree = StoredTree(fetch, number, before).growing()
    for data in missing:
        tree.append(leaf_hash(data))
    if tree.size != head.size:
        raise Conflict(
            _("The source ends at %(size)d entries, %(signed)d were signed. Find one that has them all.")
            % {"size": tree.size, "signed": head.size},
            code="recovery.too_short",
        )
    if tree.root() != head.root:
        raise Conflict(
            _("The entries of the source do not lead to the root that was signed. Nothing was written."),
            code="recovery.other_history",
        )


def _must_be_broken(fetch: Fetch, known: Sequence[Shard], head: Head) -> Shard:
    shard = known[-1]
    if shard.origin != head.origin:
        raise Conflict(_("The signer's newest log is not the database's."), code="recovery.no_log")
    whole = shard.size >= head.size and StoredTree(fetch, shard.log_id, head.size).root() == head.root
    if whole:
        raise Conflict(
            _("The log is whole: nothing is lost. To begin a new one, use audit_shard close."), code="recovery.whole"
        )
    return shard


def _put_back(connection: Connection, number: int, data: bytes) -> Any:
    """The entry's row, which may have come with the backup without its place."""
    event_id, object_key = _named(data)
    connection.execute(_PUT_ENTRY, [number, event_id, object_key, data])
    row = connection.execute(_ROW, [number, event_id, data]).fetchone()
    if row is None:
        raise Conflict(
            _("The database holds another entry under the id %(id)s.") % {"id": event_id}, code="recovery.other_history"
        )
    return row


def _named(data: bytes) -> tuple[UUID, str]:
    """The id and object that the entry's bytes name; for bytes of another shape new ones, which nothing depends on."""
    try:
        value = canonical.decode(data)
        return UUID(value["id"]), str(value["object"])[:400]
    except (canonical.NotCanonical, ValueError, KeyError, TypeError, AttributeError):
        return log.new_event_id(), "unreadable/replayed"


def _as_then(order: orders.Order) -> orders.Order:
    """An order that was carried out before is carried out again, whatever its dates are now."""
    never_too_early = datetime.max.replace(tzinfo=UTC)
    return orders.Order(order.index, order.event_id, order.event, order.facts, never_too_early)


def _entry(event: Event, origin: str, number: int, facts: dict[str, Any], by: Actor) -> tuple[UUID, bytes]:
    event_id = log.new_event_id()
    key = f"log/{number}"
    return event_id, log.entry_bytes(event_id, event, f"log:{origin}", key, facts=facts, commitments={}, by=by)


def _fetching(connection: Connection) -> Fetch:
    def fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return connection.execute(sql, values).fetchall()

    return fetch
