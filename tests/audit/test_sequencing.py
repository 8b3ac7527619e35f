"""The sequencer: what people see while entries wait, entries that cannot be read, and a signer that is away."""

from __future__ import annotations

import json
from collections.abc import Callable

import psycopg
import pytest
from django.db import transaction

from audit import health, log, queries
from audit.models import Event
from audit.sequencer import Sequencer
from audit.signer import Signer, SignerUnavailable
from config.stack import database
from tests.audit.story import INSERT, LAYLA, append, execute, verdict
from tests.conftest import CommittedDatabase


def _entry(*, subject: str = "model:x", facts: str = "{}") -> str:
    """An entry of our shape, written by hand."""
    return (
        '{"event":"model.changed","actor":{"id":"user:x","roles":[]},"object":"x/1","request":"",'
        f'"at":"2026-01-01T00:00:00.000000Z","commit":{{}},"subject":"{subject}","facts":{facts}}}'
    )


@pytest.mark.usefixtures("committed_db")
def test_an_entry_is_shown_as_being_sequenced_until_it_has_its_index(sequence: Callable[[], None]) -> None:
    with transaction.atomic():
        receipt = log.append(Event.MODEL_REGISTERED, "model:credit-scoring", reason="First", by=LAYLA)
    before = queries.entry_by_event_id(receipt.event_id)
    assert before is not None
    assert before.index is None
    assert not health.log_head().ok
    sequence()
    after = queries.entry_by_event_id(receipt.event_id)
    assert after is not None
    assert after.index == 2
    assert (after.actor_name, after.reason, after.subject) == ("Layla Haddad", "First", "model:credit-scoring")
    assert [row.event for row in queries.search().rows] == ["model.registered", "key.announced", "log.opened"]
    head = health.log_head()
    assert (head.ok, head.size, head.signed_size, head.pending) == (True, 3, 3, 0)


@pytest.mark.parametrize(
    "entry",
    [
        "{}",
        _entry(subject="model:" + "".join(chr(0x1F300 + each * 37 % 1000) for each in range(900))),
        _entry(subject=r"\ud800"),
        _entry(facts='{"x": 1e999}'),
        _entry(facts=r'{"x": "\ud800"}'),
    ],
    ids=["empty", "too long for an index", "half a character", "infinite", "half a character in the facts"],
)
def test_an_entry_that_cannot_be_read_keeps_its_place_and_does_not_stop_the_log(
    committed_db: CommittedDatabase, sequence: Callable[[], None], entry: str
) -> None:
    with psycopg.connect(committed_db.url()) as forger:
        forger.execute(
            "INSERT INTO audit.entry (log_id, event_id, object_key, entry) VALUES (1, gen_random_uuid(), 'x/1', %s)",
            [entry.encode()],
        )
    append(2)
    sequence()
    rows = queries.search().rows
    assert [row.event for row in rows[:3]] == ["model.changed", "model.changed", "unreadable"]
    json.dumps([row.facts for row in rows], allow_nan=False).encode()


def test_one_bad_entry_keeps_its_place_and_stops_nobody(
    committed_db: CommittedDatabase, sequence: Callable[[], None], signer: Signer
) -> None:
    execute(committed_db.url(), INSERT)
    append()
    sequence()
    assert [row.event for row in queries.search().rows][:2] == ["model.changed", "unreadable"]
    assert any("its id or object" in text or "canonical" in text for text in verdict(signer).findings) is False


def test_more_than_one_batch_is_sequenced_in_one_go(committed_db: CommittedDatabase, signer: Signer) -> None:
    append(70)
    small = Sequencer(committed_db.url(database.SEQUENCER), signer, batch=32)
    assert small.run_once() == 72
    assert small.run_once() == 0
    small.close()
    assert verdict(signer).outcome == "verified"


@pytest.mark.usefixtures("committed_db")
def test_appending_outside_a_transaction_is_refused() -> None:
    with pytest.raises(RuntimeError, match="atomic"):
        log.append(Event.MODEL_CHANGED, "model:x", by=LAYLA)


@pytest.mark.usefixtures("committed_db")
def test_an_entry_is_rolled_back_with_its_change() -> None:
    with transaction.atomic():
        log.append(Event.MODEL_CHANGED, "model:x", by=LAYLA)
        transaction.set_rollback(True)
    assert queries.history("model:x") == []


def test_entries_wait_while_the_signer_is_away_and_are_signed_when_it_is_back(
    committed_db: CommittedDatabase, sequencer: Sequencer, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequencer.run_once()
    append(3)

    def away(*_: object) -> str:
        raise SignerUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(signer, "sign", away)
        with pytest.raises(SignerUnavailable):
            sequencer.run_once()
    assert (health.log_head().size, health.log_head().signed_size) == (5, 2)
    sequencer.run_once()
    assert health.log_head().signed_size == 5


def test_nothing_of_the_sequencers_is_compiled_before_it_runs(committed_db: CommittedDatabase, signer: Signer) -> None:
    append(2)
    sequencer = Sequencer(committed_db.url(database.SEQUENCER), signer)
    assert sequencer.run_once() == 4
    assert sequencer._fetch("SHOW jit", ()) == [("off",)]  # the plans it is kept from seem too dear without it
    sequencer.close()
