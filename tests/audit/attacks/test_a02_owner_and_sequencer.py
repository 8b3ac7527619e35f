"""A2: the owner of the tables rewrites them with every trigger on; the sequencer's role numbers or signs wrongly."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege, IntegrityError, RestrictViolation

from config.stack import database
from tests.audit.gadgets import changes_of_tables, refused
from tests.audit.story import append, as_attacker, execute
from tests.conftest import CommittedDatabase

#: Rows for the tables that a short log leaves empty: a trigger for rows fires only where there is one.
ROWS = (
    "INSERT INTO audit.self_check (log_id, source, outcome, size, started_at)"
    " VALUES (1, 'operator', 'unknown', 0, now())",
    "INSERT INTO audit.anchor (log_id, size, kind, token) SELECT 1, max(size), 'rfc3161', '' FROM audit.checkpoint",
    "INSERT INTO audit.cosignature SELECT 1, max(size), 'w', '\\x00000000', now(), '' FROM audit.checkpoint",
    "INSERT INTO audit.publication (log_id, kind, target, state, size) VALUES (1, 'witness', 'w', 'working', 0)",
    "INSERT INTO audit.alert (event_id, subject, state, sentence) VALUES (gen_random_uuid(), 'x', 'raised', '')",
    "INSERT INTO audit.notice (alert_id, channel) SELECT id, 'mail' FROM audit.alert",
    "INSERT INTO audit.erased VALUES (1, gen_random_uuid(), 'x', gen_random_uuid())",
    "INSERT INTO audit.erased_key VALUES (gen_random_uuid(), 'user:x', gen_random_uuid())",
    "INSERT INTO audit.key_end (log_id, vkey, to_size, event_id) SELECT 1, vkey, 1, event_id FROM audit.key LIMIT 1",
)
#: The read model: nothing is proved by it, and it can be made again from the entries.
MADE_AGAIN = {"event"}


def test_even_the_owner_of_the_tables_is_refused_while_triggers_are_on(
    committed_db: CommittedDatabase, sequence: Callable[[], None]
) -> None:
    append(256)
    sequence()
    as_attacker(committed_db.admin_url, *ROWS)
    for table, statements in changes_of_tables(committed_db).items():
        if table in MADE_AGAIN:
            continue
        assert execute(committed_db.admin_url, f"SELECT count(*) > 0 FROM audit.{table}") == [(True,)], table
        refused(committed_db.admin_url, statements, RestrictViolation, first="SET LOCAL ROLE audit_owner")


def test_the_sequencer_and_the_eraser_can_change_nothing_that_stands(
    committed_db: CommittedDatabase, sequence: Callable[[], None]
) -> None:
    append()
    sequence()
    for role in (database.SEQUENCER, database.ERASER):
        statements = itertools.chain.from_iterable(changes_of_tables(committed_db).values())
        refused(committed_db.url(role), statements, InsufficientPrivilege)


LEAF = "INSERT INTO audit.leaf (log_id, leaf_index, entry_id, leaf_hash)"
HEAD = "INSERT INTO audit.checkpoint (log_id, size, root, note, watermark) VALUES (1, {}, sha256('x'), 'x', '0')"
OUT_OF_ORDER = {
    "a gap before a leaf": LEAF + " SELECT 1, 7, id, leaf_hash FROM {pending} LIMIT 1",
    "a hole inside a batch": LEAF + " SELECT 1, 3 + 2 * row_number() OVER (), id, leaf_hash FROM {pending}",
    "an index that is taken": LEAF + " SELECT 1, 4, id, leaf_hash FROM {pending} LIMIT 1",
    "another hash": LEAF + " SELECT 1, 5, id, sha256('x') FROM {pending} LIMIT 1",
    "no such entry": LEAF + " SELECT 1, 5, max(id) + 1, sha256('x') FROM audit.entry",
    "an entry twice": LEAF + " SELECT 1, 5, entry_id, leaf_hash FROM audit.leaf LIMIT 1",
    "a checkpoint that is larger than the tree": HEAD.format(6),
    "a checkpoint that shrinks": HEAD.format(4),
    "a second checkpoint of one size": HEAD.format(5),
}


@pytest.fixture
def pending(committed_db: CommittedDatabase, sequence: Callable[[], None]) -> str:
    """Five leaves under a checkpoint, and the entries that wait for theirs."""
    append(3)
    sequence()
    append(3)
    return "(SELECT * FROM audit.entry e WHERE NOT EXISTS (SELECT FROM audit.leaf l WHERE l.entry_id = e.id)) AS p"


def test_the_sequencer_cannot_leave_a_gap_use_a_wrong_hash_or_sign_another_size(
    committed_db: CommittedDatabase, pending: str
) -> None:
    wrong = [statement.format(pending=pending) for statement in OUT_OF_ORDER.values()]
    refused(committed_db.url(database.SEQUENCER), wrong, IntegrityError)
    right = LEAF + f" SELECT 1, 4 + row_number() OVER (ORDER BY id), id, leaf_hash FROM {pending}"
    execute(committed_db.url(database.SEQUENCER), right, HEAD.format(8))


def test_no_checkpoint_gets_into_an_empty_tree(committed_db: CommittedDatabase) -> None:
    execute(committed_db.admin_url, "INSERT INTO audit.log (log_id, origin) VALUES (1, 'x')")
    with pytest.raises(psycopg.errors.IntegrityError):
        execute(committed_db.url(database.SEQUENCER), HEAD.format(1))
