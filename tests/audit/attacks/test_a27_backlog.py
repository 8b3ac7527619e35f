"""A27: the sequencer was down while the server went on working; twenty thousand entries wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from audit import health
from audit.sequencer import Sequencer
from audit.signer import Signer
from config.stack import database
from tests.audit.story import COUNTS, append, as_attacker, execute
from tests.conftest import CommittedDatabase

SHAPE = json.dumps(
    {
        "v": 1,
        "id": "ID",
        "event": "model.changed",
        "actor": {"id": "user:x", "kind": "user", "roles": []},
        "subject": "model:x",
        "object": "x/1",
        "at": "2026-01-01T00:00:00.000000Z",
        "request": "",
        "facts": {},
        "commit": {},
    },
    sort_keys=True,
    separators=(",", ":"),
)
FILL = f"""
    INSERT INTO audit.entry (log_id, event_id, object_key, entry)
    SELECT 1, id, 'x/1', convert_to(replace('{SHAPE}', 'ID', id::text), 'UTF8')
    FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 20000)) AS made
"""


def test_twenty_thousand_waiting_entries_are_drained_in_batches_that_are_each_signed(
    committed_db: CommittedDatabase, sequencer: Sequencer, signer: Signer
) -> None:
    execute(committed_db.url(), FILL)
    assert sequencer.run_once() == 20_002
    assert execute(committed_db.admin_url, COUNTS) == [(20_002,) * 3]
    assert signer.head()[0].size == 20_002
    assert execute(committed_db.admin_url, "SELECT count(*), max(size) FROM audit.checkpoint") == [(11, 20_002)]
    head = health.log_head()
    assert (head.ok, head.pending) == (True, 0)


def test_a_batch_reads_what_it_holds_however_long_the_backlog_is(
    committed_db: CommittedDatabase, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables have no statistics here, as in a burst: the planner takes them for small and must still not sort."""
    execute(committed_db.url(), FILL)
    sequencer = Sequencer(committed_db.url(database.SEQUENCER), signer, batch=1000)
    read: list[int] = []
    fetch = sequencer._fetch

    def explained(sql: str, values: Any) -> list[tuple[Any, ...]]:
        if "NOT EXISTS" in sql:
            plan = fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values)[0][0][0]["Plan"]
            read.append(max(node["Actual Rows"] for node in _nodes(plan)))
        return fetch(sql, values)

    monkeypatch.setattr(sequencer, "_fetch", explained)
    for _ in range(12):
        assert sequencer.integrate() == 1000
    sequencer.close()
    assert max(read[2:]) <= 1001, read  # the first two batches look for the entries that open the log, and from 0


def test_it_returns_although_writers_are_faster(
    committed_db: CommittedDatabase, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequencer = Sequencer(committed_db.url(database.SEQUENCER), signer, batch=10)
    execute(committed_db.url(), FILL.replace("20000", "25"))
    sign, rounds = sequencer.sign, []

    def meanwhile() -> None:
        sign()
        rounds.append(execute(committed_db.url(), FILL.replace("20000", "15")))
        assert len(rounds) < 20, "it runs for as long as somebody writes"

    monkeypatch.setattr(sequencer, "sign", meanwhile)
    assert 27 <= sequencer.run_once() <= 40
    sequencer.close()


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


def test_health_is_red_when_an_entry_waits_for_more_than_a_minute(
    committed_db: CommittedDatabase, sequencer: Sequencer, signer: Signer
) -> None:
    sequencer.run_once()
    append(1)
    assert health.log_head().ok
    as_attacker(committed_db.admin_url, "UPDATE audit.entry SET created_at = created_at - interval '61 s' WHERE id > 2")
    head = health.log_head()
    assert (head.ok, head.pending) == (False, 1)
    assert "61" in head.sentence
    assert sequencer.integrate() == 1  # numbered, but not under a signed checkpoint: still red
    assert (health.log_head().ok, health.log_head().pending) == (False, 0)
    sequencer.sign()
    assert health.log_head().ok


def test_health_is_red_for_a_log_that_nobody_sequences(committed_db: CommittedDatabase) -> None:
    append(1)
    assert not health.log_head().ok
