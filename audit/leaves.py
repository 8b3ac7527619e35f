"""Giving entries their places: leaves, full tiles and the read model, in the caller's transaction."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from audit.merkle.tree import FullTile, GrowingTree
from audit.orders import ORDERS, Order
from audit.projection import project

#: First half of the advisory lock's key («audit»); the second is the number of the log.
LOCK = 0x41554449

_COPY_LEAF = "COPY audit.leaf (log_id, leaf_index, entry_id, leaf_hash) FROM STDIN"
_COPY_EVENT = """
    COPY audit.event (log_id, leaf_index, event_id, event, actor_id, subject, object_key, request_id, occurred_at,
                      model, environment, recorded_at) FROM STDIN
"""


class AlreadyRunning(Exception):  # noqa: N818
    """Another sequencer holds this log."""


class Unplaced(NamedTuple):
    """An entry as the database holds it, without an index."""

    entry_id: int
    event_id: UUID
    object_key: str
    data: bytes
    leaf_hash: bytes
    recorded_at: datetime


def take_lock(connection: psycopg.Connection[tuple[Any, ...]], log_id: int) -> None:
    """Hold the log alone until ``connection`` is closed. Raises ``AlreadyRunning`` and closes it when it is held."""
    got = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, log_id]).fetchone()
    if not got or not got[0]:
        connection.close()
        raise AlreadyRunning(f"another sequencer is running for log {log_id}")


def take_lock_for_transaction(connection: psycopg.Connection[tuple[Any, ...]], log_id: int) -> None:
    """``take_lock`` until the transaction ends: whoever tries again at once after a refusal finds the log free.

    The server notices a connection that was merely closed a moment later.
    """
    got = connection.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK, log_id]).fetchone()
    if not got or not got[0]:
        raise AlreadyRunning(f"another sequencer is running for log {log_id}")


def release(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Give up the log and close; the server would notice the closed connection only a moment later."""
    with contextlib.suppress(psycopg.Error):
        connection.execute("SELECT pg_advisory_unlock_all()")
    connection.close()


def store(
    connection: psycopg.Connection[tuple[Any, ...]], log_id: int, tree: GrowingTree, entries: Sequence[Any]
) -> list[Order]:
    """Append ``entries`` (each an ``Unplaced``) to ``tree`` and to the tables; returns the orders among them."""
    first = tree.size
    tiles: list[FullTile] = []
    ordered: list[Order] = []
    with connection.cursor() as cursor:
        with cursor.copy(_COPY_LEAF) as copy:
            for entry_id, _, _, _, leaf, _ in entries:
                copy.write_row((log_id, tree.size, entry_id, leaf))
                tiles += tree.append(leaf)
        cursor.executemany(
            "INSERT INTO audit.tile (log_id, level, idx, hashes, root) VALUES (%s, %s, %s, %s, %s)",
            [(log_id, tile.level, tile.index, tile.hashes, tile.root) for tile in tiles],
        )
        with cursor.copy(_COPY_EVENT) as copy:
            for index, (_, event_id, object_key, data, _, recorded_at) in enumerate(entries, first):
                row = project(data, object_key)
                if row.event in ORDERS:
                    ordered.append(Order(index, event_id, row.event, row.facts, recorded_at))
                told = (row.event, row.actor_id, row.subject, object_key, row.request_id, row.occurred_at)
                copy.write_row((log_id, index, event_id, *told, row.model, row.environment, recorded_at))
    return ordered
