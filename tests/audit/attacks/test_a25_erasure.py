"""A25: an erasure without its entry; verification after an erasure; a backup from before it is restored."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction

from audit import erasure, log, payloads, queries, subject_keys
from audit.actors import Actor
from audit.models import Event
from audit.payloads import COLUMNS, Sealed, State
from audit.refusals import BadInput
from audit.signer import Signer
from config.stack import database
from tests.audit.story import LAYLA, append, execute, verdict
from tests.conftest import CommittedDatabase

AMIR = Actor("user:00000000-0000-7000-8000-00000000a317", "Amir Khan", frozenset({"administrator"}))


@pytest.fixture(autouse=True)
def own_keys() -> None:
    """The keys' database is shared by the tests, the log is not: a person of an earlier test has a key of their own."""
    subject_keys.destroy([subject_keys.renewed(person.id).key_id for person in (LAYLA, AMIR)])


def _stored(url: str) -> list[Sealed]:
    return [Sealed(*row) for row in execute(url, f"SELECT {COLUMNS} FROM audit.payload p WHERE subject = '{LAYLA.id}'")]


def test_an_erasure_without_its_entry_is_refused(committed_db: CommittedDatabase) -> None:
    append(3)
    eraser = committed_db.url(database.ERASER)
    event_id = log.new_event_id()
    call = "SELECT audit.erase_subject(1, %s, %s, %s::uuid[], '{}', '{}')"
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="without its entry"):
        execute(eraser, call, values=[LAYLA.id, event_id, []])
    known = execute(eraser, "SELECT event_id FROM audit.entry LIMIT 1")[0][0]  # of an earlier transaction
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="without its entry"):
        execute(eraser, call, values=[LAYLA.id, known, []])
    assert len(_stored(eraser)) == 6


@pytest.mark.parametrize(
    "facts",
    [
        {"values": 5, "digest": "", "keys": []},
        {"values": 6, "digest": "0" * 64, "keys": []},
        {"values": 6, "digest": "right", "keys": ["00000000-0000-0000-0000-000000000001"]},
    ],
)
def test_an_entry_that_names_other_values_than_are_erased_is_refused(
    committed_db: CommittedDatabase, facts: dict[str, Any]
) -> None:
    append(3)
    eraser = committed_db.url(database.ERASER)
    if facts["digest"] in ("", "right"):
        rows = execute(eraser, "SELECT log_id, event_id, field FROM audit.payload")
        facts = facts | {"digest": erasure.digest(rows)}  # type: ignore[arg-type]
    event_id = log.new_event_id()
    data = log.entry_bytes(
        event_id, Event.SUBJECT_ERASED, LAYLA.id, LAYLA.id, facts=facts, commitments={}, by=Actor.system("tests")
    )
    with psycopg.connect(eraser) as own:
        log.insert(own.cursor(), event_id, LAYLA.id, data, [])
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="does not name"):
            own.execute("SELECT audit.erase_subject(1, %s, %s, '{}'::uuid[], '{}', '{}')", [LAYLA.id, event_id])
    assert len(_stored(eraser)) == 6


@pytest.mark.parametrize("role", [database.APP, database.ERASER, database.SEQUENCER])
@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit.payload",
        "UPDATE audit.payload SET body = body",
        "INSERT INTO audit.erased (log_id, event_id, field, erasure_id)"
        " SELECT log_id, event_id, field, event_id FROM audit.payload",
        "INSERT INTO audit.erased_key (key_id, subject, erasure_id) SELECT key_id, subject, key_id FROM audit.payload",
    ],
)
def test_no_role_erases_by_hand(committed_db: CommittedDatabase, role: str, statement: str) -> None:
    append()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        execute(committed_db.url(role), statement)


def test_only_the_eraser_may_call_the_function(committed_db: CommittedDatabase) -> None:
    for role in (database.APP, database.SEQUENCER, database.READER, database.OWNER):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(
                committed_db.url(role),
                "SELECT audit.erase_subject(1, 'user:x', gen_random_uuid(), '{}', '{}', '{}')",
            )


def test_even_the_owner_of_the_tables_erases_nothing_without_an_entry(committed_db: CommittedDatabase) -> None:
    append()
    owner = ("SET ROLE audit_owner",)
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        execute(committed_db.admin_url, *owner, "DELETE FROM audit.payload")
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="without an entry"):
        execute(
            committed_db.admin_url,
            *owner,
            "INSERT INTO audit.erased SELECT log_id, event_id, field, event_id FROM audit.payload",
        )


def test_after_an_erasure_the_log_verifies_and_says_by_which_entry(
    committed_db: CommittedDatabase, signer: Signer, sequence: Callable[[], None]
) -> None:
    append(3)
    sequence()
    before = queries.entry_at(4)
    assert before is not None
    done = erasure.erase(LAYLA.id, reason="Request 12 of 3 May", by=AMIR)
    sequence()
    assert done.values == 6
    assert done.key_destroyed
    after = queries.entry_at(4)
    assert after is not None
    assert (before.actor_name, after.actor_name) == ("Layla Haddad", LAYLA.id)
    assert after.reason == "erased"
    found = erasure.newest(LAYLA.id)
    assert found is not None
    told = payloads.erased(1, [after.event_id])
    assert told == {(after.event_id, field): (done.event_id, found.index) for field in ("actor.name", "reason")}
    entry = queries.entry_by_event_id(done.event_id)
    assert entry is not None
    assert (entry.event, entry.actor_name, entry.reason) == ("subject.erased", "Amir Khan", "Request 12 of 3 May")
    assert entry.facts["values"] == 6
    result = verdict(signer)
    assert result.outcome == "verified", result.findings


def test_a_backup_from_before_the_erasure_cannot_be_read(
    committed_db: CommittedDatabase, sequence: Callable[[], None]
) -> None:
    append(2)
    sequence()
    backup = _stored(committed_db.url())
    assert {value.state for value in payloads.reveal(backup)} == {State.READABLE}
    erasure.erase(LAYLA.id, by=AMIR)
    subject_keys.forget()  # what a process remembers ends with it; the backup meets a new one
    assert {value.state for value in payloads.reveal(backup)} == {State.ERASED}
    columns = "log_id, event_id, field, subject, salt, key_id, body"
    with psycopg.connect(committed_db.admin_url) as restored:
        restored.execute("SET session_replication_role = replica")
        restored.execute("DELETE FROM audit.erased")
        for row in backup:
            restored.execute(
                f"INSERT INTO audit.payload ({columns}) VALUES (1, %s, %s, %s, %s, %s, %s)",
                [row.event_id, row.field, LAYLA.id, row.salt, row.key_id, row.body],
            )
    shown = queries.entry_at(2)
    assert shown is not None
    assert (shown.actor_name, shown.reason) == (LAYLA.id, "erased")


def test_an_old_copy_of_the_keys_is_destroyed_again(committed_db: CommittedDatabase, subject_keys_admin: str) -> None:
    append()
    done = erasure.erase(LAYLA.id, by=AMIR)
    assert erasure.finish() == 0
    (key_id,) = execute(committed_db.url(), f"SELECT key_id FROM audit.erased_key WHERE subject = '{LAYLA.id}'")[0]
    restore = "UPDATE subject_key SET key = sha256('x'), erased_at = NULL WHERE key_id = %s"
    execute(subject_keys_admin, "SET session_replication_role = replica", restore, values=[key_id])
    assert erasure.finish() == 1
    assert subject_keys.ciphers([key_id]) == {key_id: None}
    assert erasure.newest(LAYLA.id) == erasure.Erasure(LAYLA.id, done.event_id, 2)


def test_an_erased_key_seals_nothing_again_even_where_it_is_remembered(committed_db: CommittedDatabase) -> None:
    append()
    remembered = subject_keys.in_use([LAYLA.id])[LAYLA.id]
    erasure.erase(LAYLA.id, by=AMIR)
    subject_keys._in_use.put(LAYLA.id, remembered)  # another process, that has not heard of it
    append()
    (row, *_more) = _stored(committed_db.url())
    assert row.key_id != remembered.key_id
    assert payloads.reveal([row])[0].state is State.READABLE


def test_an_erasure_waits_for_whoever_is_writing_and_takes_that_away_too(committed_db: CommittedDatabase) -> None:
    written, go_on = threading.Event(), threading.Event()

    def slow_writer() -> None:
        with transaction.atomic():
            log.append(Event.MODEL_CHANGED, "model:x", reason="Late", by=LAYLA)
            written.set()
            go_on.wait(20)
        connections["default"].close()

    writer = threading.Thread(target=slow_writer)
    writer.start()
    written.wait(20)
    eraser = threading.Thread(target=lambda: (erasure.erase(LAYLA.id, by=AMIR), connections["default"].close()))
    eraser.start()
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not execute(committed_db.admin_url, waiting):
        assert eraser.is_alive()
    go_on.set()
    writer.join(20)
    eraser.join(20)
    assert _stored(committed_db.url()) == []


def test_what_cannot_be_erased_is_refused_with_a_sentence(committed_db: CommittedDatabase) -> None:
    for subject in ("model:x", "user:", "everybody"):
        with pytest.raises(BadInput, match="is not a person"):
            erasure.erase(subject, by=AMIR)
    with pytest.raises(BadInput, match="about themselves"):
        erasure.erase(AMIR.id, by=AMIR)


def test_without_its_own_connection_nothing_is_erased(committed_db: CommittedDatabase, settings: Any) -> None:
    append()
    settings.ERASER_DATABASE_URL = ""
    with pytest.raises(erasure.EraserUnavailable, match="ERASER_DATABASE_URL"):
        erasure.erase(LAYLA.id, by=AMIR)
    settings.ERASER_DATABASE_URL = "postgresql://nobody@127.0.0.1:1/nothing"
    with pytest.raises(erasure.EraserUnavailable, match="does not let"):
        erasure.erase(LAYLA.id, by=AMIR)
    assert len(_stored(committed_db.url())) == 2


@pytest.fixture
def subject_keys_admin(committed_db: CommittedDatabase, subject_keys: str) -> str:
    """The superuser's URL to the database of the keys."""
    return committed_db.server.admin(subject_keys.rpartition("/")[2])
