"""A15: the clocks of the application, of the signer and of the database are a day off, and step back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from audit import health, log, queries
from audit.keyring import keyring
from audit.merkle.checkpoint import verify
from audit.signer import Signer
from tests.audit.story import append, as_attacker, execute, verdict
from tests.conftest import CommittedDatabase

DAY = 86_400
ORDER = """
    SELECT e.entry FROM audit.leaf l JOIN audit.entry e ON e.id = l.entry_id
    WHERE l.leaf_index > 1 ORDER BY l.leaf_index
"""


def test_the_order_is_that_of_the_commits_whatever_any_clock_says(
    committed_db: CommittedDatabase, sequence: Callable[[], None], signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, now_ns = time.time, time.time_ns
    for number, days in enumerate((0, 1, -1, 400, -400)):
        monkeypatch.setattr(time, "time_ns", lambda days=days: now_ns() + days * DAY * 10**9)
        monkeypatch.setattr(time, "time", lambda days=days: now() + days * DAY)
        stamp = f"{2026 + (days > 1) - (days < -1)}-01-0{3 + max(-1, min(1, days))}T00:00:00.000000Z"
        monkeypatch.setattr(log, "_timestamp", lambda stamp=stamp: stamp)
        append(1, subject=f"model:m{number}")
        sequence()
    monkeypatch.undo()
    subjects = [json.loads(row[0])["subject"] for row in execute(committed_db.admin_url, ORDER)]
    assert subjects == [f"model:m{number}" for number in range(5)]
    assert [row.subject for row in queries.search().rows[:5]] == list(reversed(subjects))
    ring = keyring(queries.fetch, 1)
    for size, note in execute(committed_db.admin_url, "SELECT size, note FROM audit.checkpoint"):
        assert verify(note, ring.valid_at(size)).size == size
    assert not [text for text in verdict(signer).findings if "entry #" in text or "checkpoint" in text]


def test_a_database_clock_that_stepped_back_neither_stops_the_log_nor_hides_what_waits(
    committed_db: CommittedDatabase, sequence: Callable[[], None]
) -> None:
    append(2)
    sequence()
    append(1)
    ahead = "UPDATE audit.entry SET created_at = created_at + interval '1 day' WHERE id <= 4"
    as_attacker(committed_db.admin_url, ahead)
    assert health.log_head().pending == 1
    as_attacker(
        committed_db.admin_url, "UPDATE audit.entry SET created_at = created_at - interval '1 day' WHERE id > 4"
    )
    head = health.log_head()
    assert (head.ok, head.pending) == (False, 1)  # it seems to wait for a day: red rather than silent
    sequence()
    assert (health.log_head().pending, health.log_head().signed_size) == (0, 5)
