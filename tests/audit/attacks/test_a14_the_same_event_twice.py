"""A14: the same event comes twice: a repeated request, a retried task, a copied statement."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client

from audit import log
from audit.models import Event
from config.stack import database
from tests.audit.story import LAYLA, append, execute
from tests.conftest import CommittedDatabase
from tests.identity.test_idempotency import post

AGAIN = "INSERT INTO audit.entry (log_id, event_id, object_key, entry) SELECT 1, event_id, 'a/1', '{}' FROM audit.entry"
COUNT = "SELECT count(*) FROM audit.entry"


def test_the_same_event_id_twice_is_refused(committed_db: CommittedDatabase) -> None:
    append()
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(committed_db.url(), AGAIN)
    assert execute(committed_db.admin_url, COUNT) == [(1,)]


def test_a_writer_of_ours_that_repeats_itself_is_refused_with_all_it_did(committed_db: CommittedDatabase) -> None:
    event_id = log.new_event_id()
    data = log.entry_bytes(event_id, Event.MODEL_CHANGED, "model:x", "model:x", facts={}, commitments={}, by=LAYLA)

    def twice() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            for _time in range(2):
                log.insert(cursor, event_id, "model:x", data, log.values_of("model:x", {}, "A reason", LAYLA))

    with pytest.raises(IntegrityError):
        twice()
    assert execute(committed_db.admin_url, COUNT) == [(0,)]
    assert execute(committed_db.admin_url, "SELECT count(*) FROM audit.payload") == [(0,)]


def test_of_two_writers_at_once_one_gets_in(committed_db: CommittedDatabase) -> None:
    insert = "INSERT INTO audit.entry (log_id, event_id, object_key, entry) VALUES (1, %s, 'a/1', '{}')"
    event_id, failures = log.new_event_id(), []
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"

    def second() -> None:
        try:
            execute(committed_db.url(), insert, values=[event_id])
        except psycopg.errors.UniqueViolation as error:
            failures.append(error)

    with psycopg.connect(committed_db.url()) as first:
        first.execute(insert, [event_id])
        other = threading.Thread(target=second)
        other.start()
        while other.is_alive() and execute(committed_db.admin_url, waiting) == [(0,)]:
            pass
    other.join()
    assert len(failures) == 1
    assert execute(committed_db.admin_url, COUNT) == [(1,)]


def test_an_entry_gets_one_leaf_however_often_it_is_sequenced(
    committed_db: CommittedDatabase, sequence: Callable[[], None]
) -> None:
    append()
    sequence()
    sequence()
    assert execute(committed_db.admin_url, "SELECT count(*), count(DISTINCT entry_id) FROM audit.leaf") == [(3, 3)]
    again = (
        "INSERT INTO audit.leaf (log_id, leaf_index, entry_id, leaf_hash)"
        " SELECT 1, 3, entry_id, leaf_hash FROM audit.leaf WHERE leaf_index = 2"
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(committed_db.url(database.SEQUENCER), again)


@pytest.mark.urls("tests.identity.probes")
def test_a_repeated_request_with_its_key_is_recorded_once(
    committed_db: CommittedDatabase, api_for: Callable[[str], Client]
) -> None:
    client = api_for("ci")
    made = [post(client, "once", "run-1") for _time in range(2)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].content == made[1].content
    created = "SELECT count(*) FROM audit.entry WHERE convert_from(entry, 'UTF8')::jsonb ->> 'event' = 'user.created'"
    before = execute(committed_db.admin_url, created)
    post(client, "once", "run-1")
    assert execute(committed_db.admin_url, created) == before
    post(client, "twice", "run-2")
    assert execute(committed_db.admin_url, created) == [(before[0][0] + 1,)]
