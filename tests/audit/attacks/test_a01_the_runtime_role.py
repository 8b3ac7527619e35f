"""A1: whoever has the password of the role that serves requests, or runs code as it, tries to change the record."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from psycopg.errors import GeneratedAlways, InsufficientPrivilege, RestrictViolation

from audit import log
from audit.models import Event
from audit.refusals import BadInput
from config.stack import database
from tests.audit.gadgets import Gadget, changes_of_tables, make, make_table, refused
from tests.audit.story import LAYLA, append, execute
from tests.conftest import CommittedDatabase


@pytest.fixture
def gadgets(committed_db: CommittedDatabase) -> type[Gadget]:
    """A governed table."""
    make_table(committed_db)
    return Gadget


def test_the_runtime_role_cannot_change_what_is_recorded_in_any_table_of_the_log(
    committed_db: CommittedDatabase, sequence: Callable[[], None]
) -> None:
    append()
    sequence()
    found = changes_of_tables(committed_db)
    assert {"entry", "entry_1", "leaf", "tile", "checkpoint", "payload", "erased", "log_state"} <= found.keys()
    for statements in found.values():
        refused(committed_db.url(), statements, InsufficientPrivilege)


ENTRY = "INSERT INTO audit.entry (log_id, event_id, object_key, entry{}) VALUES (1, gen_random_uuid(), 'a/1', '{{}}'{})"
BEYOND_INSERTING = [
    "ALTER TABLE audit.entry DISABLE TRIGGER ALL",
    "ALTER TABLE audit.entry_1 DISABLE TRIGGER append_only_rows",
    "DROP TRIGGER append_only_rows ON audit.entry",
    "DROP TABLE audit.entry",
    "ALTER TABLE audit.entry DETACH PARTITION audit.entry_1",
    "DROP SCHEMA audit CASCADE",
    "CREATE TABLE audit.mine (id int)",
    "ALTER FUNCTION audit.refuse_change() RENAME TO refuse_nothing",
    "SET session_replication_role = replica",
    "SET ROLE audit_owner",
    "SET ROLE countersign_owner",
    "ALTER ROLE countersign_app SUPERUSER",
    ENTRY.format(", created_at", ", '2020-01-01'"),
    ENTRY.format(", txid", ", '5'::xid8"),
    ENTRY.format(", leaf_hash", ", '\\x00'"),
    ENTRY.format("", "").replace("audit.entry ", "audit.entry_1 "),
    "INSERT INTO audit.leaf (log_id, leaf_index, entry_id, leaf_hash) VALUES (1, 0, 1, sha256('a'))",
    "INSERT INTO audit.tile (log_id, level, idx, hashes, root) VALUES (1, 0, 0, '', '')",
    "INSERT INTO audit.checkpoint (log_id, size, root, note, watermark) VALUES (1, 1, sha256('a'), '', '0')",
    "INSERT INTO audit.cosignature SELECT * FROM audit.cosignature",
    "INSERT INTO audit.event SELECT * FROM audit.event",
    "INSERT INTO audit.key (log_id, vkey, from_size, event_id) VALUES (1, 'x', 0, gen_random_uuid())",
    "INSERT INTO audit.log (log_id, origin) VALUES (2, 'mine')",
    "INSERT INTO audit.log_state (log_id, kind, event_id) VALUES (1, 'closed', gen_random_uuid())",
    "INSERT INTO audit.erased SELECT * FROM audit.erased",
    "SELECT audit.erase_subject(1, 'user:x', gen_random_uuid(), '{}', '{}', '{}')",
    "SELECT audit.open_log(2, 'mine', gen_random_uuid(), '{}', gen_random_uuid(), '{}', '{}')",
    "SELECT audit.add_log(2, 'mine')",
    "SELECT audit.create_partition(2)",
]


def test_the_runtime_role_cannot_reach_past_inserting_entries(committed_db: CommittedDatabase) -> None:
    refused(committed_db.url(), BEYOND_INSERTING, InsufficientPrivilege, GeneratedAlways)


def test_the_runtime_role_can_insert_an_entry_so_the_refusals_are_about_the_rest(
    committed_db: CommittedDatabase,
) -> None:
    execute(committed_db.url(), ENTRY.format("", ""))
    assert execute(committed_db.url(), "SELECT count(*) FROM audit.entry") == [(1,)]


def test_a_governed_row_commits_together_with_its_entry(gadgets: type[Gadget]) -> None:
    gadget = make("lamp")
    with transaction.atomic():
        gadget.name = "lantern"
        gadget.save()
        log.append(Event.MODEL_CHANGED, gadget, by=LAYLA)
    with transaction.atomic():
        log.append(Event.RECORD_REMOVED, gadget, by=LAYLA)
        gadget.delete()
    assert not Gadget.objects.exists()


def _insert() -> None:
    Gadget.objects.create(name="silent")


def _bulk_create() -> None:
    Gadget.objects.bulk_create([Gadget(name="one"), Gadget(name="two")])


def _update() -> None:
    Gadget.objects.update(name="rewritten")


def _bulk_update() -> None:
    rows = list(Gadget.objects.all())
    for row in rows:
        row.name = "rewritten"
    Gadget.objects.bulk_update(rows, ["name"])


def _delete() -> None:
    Gadget.objects.all().delete()


def _raw() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tests_gadget SET name = 'rewritten'")


def _raw_upsert() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tests_gadget (id, name) SELECT id, 'rewritten' FROM tests_gadget"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name"
        )


def _entry_of_another_row() -> None:
    Gadget.objects.update(name="rewritten")
    log.append(Event.MODEL_CHANGED, "gadget:lamp", by=LAYLA)


def _moved_id() -> None:
    row = Gadget.objects.get()
    log.append(Event.MODEL_CHANGED, row, by=LAYLA)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tests_gadget SET id = id + 1000")


def _entry_that_was_rolled_back() -> None:
    row = Gadget.objects.get()
    Gadget.objects.update(name="rewritten")
    point = transaction.savepoint()
    log.append(Event.MODEL_CHANGED, row, by=LAYLA)
    transaction.savepoint_rollback(point)


WAYS = (
    _insert,
    _bulk_create,
    _update,
    _bulk_update,
    _delete,
    _raw,
    _raw_upsert,
    _entry_of_another_row,
    _moved_id,
    _entry_that_was_rolled_back,
)


def test_a_governed_change_without_its_entry_is_refused_at_commit(gadgets: type[Gadget]) -> None:
    make("lamp")
    for change in WAYS:
        with pytest.raises(IntegrityError, match=r"without an entry|cannot change"), transaction.atomic():
            change()
        assert [row.name for row in Gadget.objects.all()] == ["lamp"], change.__name__


def test_an_entry_of_an_earlier_transaction_does_not_count(gadgets: type[Gadget]) -> None:
    gadget = make("lamp")
    with pytest.raises(IntegrityError, match="without an entry"), transaction.atomic():
        Gadget.objects.filter(pk=gadget.pk).update(name="again")


def test_a_governed_table_cannot_be_truncated(gadgets: type[Gadget], committed_db: CommittedDatabase) -> None:
    for role in (database.APP, database.OWNER):
        refused(committed_db.url(role), ["TRUNCATE tests_gadget"], InsufficientPrivilege, RestrictViolation)


def test_the_runtime_role_cannot_switch_the_completeness_rule_off(
    gadgets: type[Gadget], committed_db: CommittedDatabase
) -> None:
    statements = "ALTER TABLE tests_gadget DISABLE TRIGGER ALL", "DROP TRIGGER governed_entry ON tests_gadget"
    refused(committed_db.url(), statements, InsufficientPrivilege)


def test_an_entry_that_is_too_long_is_refused_by_us_and_by_the_database(committed_db: CommittedDatabase) -> None:
    with pytest.raises(BadInput), transaction.atomic():
        log.append(Event.MODEL_CHANGED, "model:x", facts={"long": "x" * 65_600}, by=LAYLA)
    insert = "INSERT INTO audit.entry (log_id, event_id, object_key, entry) VALUES (1, gen_random_uuid(), 'a/1', %s)"
    for entry in (b'{"a":"' + b"x" * 65_528 + b'"}', b"{", b"[]", b"not json", b'{"a":"\xff"}', b""):
        with pytest.raises(psycopg.DatabaseError):
            execute(committed_db.url(), insert, values=[entry])
    execute(committed_db.url(), insert, values=[b'{"a":"' + b"x" * 65_527 + b'"}'])
