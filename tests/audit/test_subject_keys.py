"""The keys of private values: one for each person in use, none remembered for long, nothing written without them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import transaction

from audit import log, payloads, queries, subject_keys
from audit.actors import Actor
from audit.models import Event
from audit.payloads import Sealed, State, Value
from audit.subject_keys import KeysUnavailable, forget
from tests.audit.story import LAYLA, append, execute
from tests.conftest import CommittedDatabase

DOWN = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def keys_down(settings: Any) -> Any:
    """The server of the keys does not answer, and this process remembers nothing."""
    subject_keys.forget()
    settings.SUBJECT_KEYS_DATABASE_URL = DOWN
    subject_keys._connection.failed_at = None
    yield settings
    subject_keys._connection.failed_at = None


@pytest.mark.django_db
def test_a_person_has_one_key_and_another_person_another_one() -> None:
    one, two = f"user:{uuid4()}", f"user:{uuid4()}"
    keys = subject_keys.in_use([one, two])
    assert keys[one].key_id != keys[two].key_id
    subject_keys.forget()
    assert {name: key.key_id for name, key in subject_keys.in_use([one, two]).items()} == {
        name: key.key_id for name, key in keys.items()
    }


@pytest.mark.django_db
def test_a_destroyed_key_opens_nothing_and_the_next_value_gets_another_one() -> None:
    person, event_id = f"user:{uuid4()}", uuid4()
    (sealed,) = payloads.seal(event_id, [Value.of("reason", person, b"Because")])
    assert payloads.reveal([sealed])[0].text == "Because"
    assert subject_keys.destroy([sealed.key_id]) == 1
    assert subject_keys.destroy([sealed.key_id]) == 0
    assert payloads.reveal([sealed])[0].state is State.ERASED
    assert subject_keys.in_use([person])[person].key_id != sealed.key_id


@pytest.mark.django_db
def test_a_body_opens_in_its_own_row_only() -> None:
    event_id = uuid4()
    (sealed,) = payloads.seal(event_id, [Value.of("reason", "user:x", b"Because")])
    for moved in (
        Sealed(uuid4(), "reason", sealed.salt, sealed.key_id, sealed.body),
        Sealed(event_id, "actor.name", sealed.salt, sealed.key_id, sealed.body),
        Sealed(event_id, "reason", sealed.salt, sealed.key_id, sealed.body[:-1]),
        Sealed(event_id, "reason", sealed.salt, sealed.key_id, b""),
    ):
        assert payloads.reveal([moved])[0].state is State.DAMAGED
    unknown = Sealed(event_id, "reason", sealed.salt, uuid4(), sealed.body)
    assert payloads.reveal([unknown])[0].state is State.UNAVAILABLE


@pytest.mark.django_db
def test_many_values_need_one_query(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = [payloads.seal(uuid4(), [Value.of("reason", f"user:{uuid4()}", b"x")])[0] for _each in range(5)]
    subject_keys.forget()
    asked: list[str] = []
    fetch = subject_keys._fetch
    monkeypatch.setattr(subject_keys, "_fetch", lambda sql, values: asked.append(sql) or fetch(sql, values))
    assert [value.text for value in payloads.reveal(sealed)] == ["x"] * 5
    assert [value.text for value in payloads.reveal(sealed)] == ["x"] * 5
    assert len(asked) == 1


@pytest.mark.usefixtures("keys_down")
def test_without_the_keys_nothing_private_is_written(committed_db: CommittedDatabase) -> None:
    with pytest.raises(subject_keys.KeysUnavailable, match="nothing was written"):
        append()
    assert execute(committed_db.url(), "SELECT count(*) FROM audit.entry")[0][0] == 0
    with transaction.atomic():
        log.append(Event.MODEL_CHANGED, "model:x", by=Actor.system("import"))
    assert execute(committed_db.url(), "SELECT count(*) FROM audit.entry")[0][0] == 1


def test_without_the_keys_a_page_shows_the_pseudonym(
    committed_db: CommittedDatabase, subject_keys: str, keys_down: Any
) -> None:
    keys_down.SUBJECT_KEYS_DATABASE_URL = ""
    with pytest.raises(KeysUnavailable, match="SUBJECT_KEYS_DATABASE_URL is not set"):
        append()
    keys_down.SUBJECT_KEYS_DATABASE_URL = subject_keys
    append()
    forget()
    keys_down.SUBJECT_KEYS_DATABASE_URL = DOWN
    (row,) = queries.history("model:credit-scoring")
    assert row.actor_name == f"{LAYLA.id} (name unavailable)"
    assert row.reason == "name unavailable"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM subject_key",
        "TRUNCATE subject_key",
        "UPDATE subject_key SET subject = 'user:other'",
        "UPDATE subject_key SET key = sha256('x')",
        "UPDATE subject_key SET key = sha256('x'), erased_at = NULL",
    ],
)
def test_a_key_is_destroyed_or_stays_as_it_is(subject_keys: str, shared_database: str, statement: str) -> None:
    execute(
        subject_keys,
        "INSERT INTO subject_key (key_id, subject, key) VALUES (gen_random_uuid(), 'user:k', sha256(''))"
        " ON CONFLICT DO NOTHING",
    )
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation)):
        execute(subject_keys, statement)
