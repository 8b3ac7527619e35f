"""The whole verification of a log against one process that reads the same rows in order and hashes them.

The same rows are those without which nothing can be verified: each entry with its leaf and what the list shows of it,
and each private value. The simple loop reads the same columns of them through the same driver, hashes entries and
private values, and compares nothing. How long the entries alone take is told beside it and is not the goal's measure.

``manage.py bench audit_fsck`` uses 1,000,000 entries; ``AUDIT_FSCK_ENTRIES=200000`` or an argument another number.
Every entry has about 390 bytes and one private value; the real sequencer and signer build the tree, a checkpoint for
every thousand entries. All sides run alternately, each ``ROUNDS`` times; their fastest runs are compared.
"""

# ruff: noqa: I001  (Django is set up before the application is imported)

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks import _server  # first: it sets Django up

from audit import payloads
from audit.log import new_event_id
from audit.sequencer import Sequencer
from audit.signer import Signer
from audit.verification import verify_log
from audit.verification.private import COLUMNS as PRIVATE_COLUMNS
from audit.verification.ranges import prepare
from audit.verification.shown import COLUMNS
from config.stack import database

GOAL = 2.0
ENTRIES = 1_000_000
ROUNDS = 3
PEOPLE = 500
BATCH = 10_000
_ENTRIES = "SELECT entry FROM audit.entry WHERE log_id = 1 ORDER BY id"
_ROWS = f"""
    SELECT {COLUMNS} FROM audit.leaf l JOIN audit.entry e ON e.log_id = l.log_id AND e.id = l.entry_id
    JOIN audit.event v ON v.log_id = l.log_id AND v.leaf_index = l.leaf_index
    WHERE l.log_id = 1 ORDER BY l.leaf_index
"""
_VALUES = f"SELECT {PRIVATE_COLUMNS} FROM audit.payload p WHERE p.log_id = 1 ORDER BY p.event_id, p.field"
_ENTRY = (
    '{{"actor":{{"id":"user:{actor:08x}-9c1d-7a31-8f7e-3b5d0c6e7f80","kind":"user","roles":["ml_lead"]}},"at":"{at}",'
    '"commit":{{"actor.name":"{commit}"}},"event":"deployment.recorded","facts":{{"number":{number}}},'
    '"id":"{id}","object":"reading/{number}","request":"{request:08x}","subject":"version:scoring/{version}","v":1}}'
)


def fill(url: str, entries: int) -> None:
    """So many committed entries, each with the name of who did it, sealed as the application seals it."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for first in range(0, entries, BATCH):
            made = [_entry(number) for number in range(first, min(first + BATCH, entries))]
            with cursor.copy("COPY audit.entry (log_id, event_id, object_key, entry) FROM STDIN") as copy:
                for entry, _value in made:
                    copy.write_row(entry)
            columns = "log_id, event_id, field, subject, salt, key_id, body"
            with cursor.copy(f"COPY audit.payload ({columns}) FROM STDIN") as copy:
                for _entry_row, value in made:
                    copy.write_row(value)


def _entry(number: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The rows of ``audit.entry`` and ``audit.payload``."""
    event_id, person = new_event_id(), number % PEOPLE
    subject = f"user:{person:08x}-9c1d-7a31-8f7e-3b5d0c6e7f80"
    value = payloads.Value.of("actor.name", subject, f"Person {person}".encode())
    sealed = payloads.seal(event_id, [value])[0]
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=number * 31_000_017)
    text = _ENTRY.format(
        actor=person,
        at=at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        commit=value.commitment,
        number=number,
        version=number % 40,
        id=event_id,
        request=number * 0x9E3779B1 % 2**32,
    )
    private = (1, event_id, sealed.field, subject, sealed.salt, sealed.key_id, sealed.body)
    return (1, event_id, f"reading/{number}", text.encode()), private


def read_and_hash(url: str) -> None:
    """Every row read in order and hashed over one connection: nothing is compared."""
    for row in _read(url, _ROWS):
        hashlib.sha256(b"\x00" + row[2]).digest()
    for row in _read(url, _VALUES):
        hashlib.sha256(row[3] + row[5]).digest()


def entries_alone(url: str) -> None:
    """Only the bytes of the entries."""
    for (data,) in _read(url, _ENTRIES):
        hashlib.sha256(b"\x00" + data).digest()


def _read(url: str, statement: str) -> Iterator[tuple[Any, ...]]:
    with psycopg.connect(url) as connection, connection.cursor(name="rows") as cursor:
        prepare(connection)
        cursor.itersize = 5000
        yield from cursor.execute(statement, binary=True)


def seconds(call: Any) -> float:
    """How long a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def verify(signer: Signer) -> None:
    """The whole verification; anything but «verified» ends the benchmark."""
    verdict = verify_log(signer)
    assert verdict.outcome == "verified", [
        (step.name, step.state, step.detail, step.findings) for step in verdict.steps
    ]


def main() -> None:
    """Fill, sequence, then alternate both sides."""
    entries = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("AUDIT_FSCK_ENTRIES", ENTRIES))
    with _server.migrated_server("max_wal_size=4GB") as bench, tempfile.TemporaryDirectory() as folder:
        signer = Signer(Path(folder) / "signer", "bench.example/log")
        sequencer = Sequencer(bench.url(database.SEQUENCER), signer)
        sequencer.run_once()
        filled = seconds(lambda: fill(bench.url(), entries))
        sequenced = seconds(sequencer.run_once)
        sequencer.close()
        bench.execute("VACUUM ANALYZE")
        size, count = _measure(bench)
        print(
            f"{count:,} entries of {size:.0f} bytes written in {filled:.1f} s, sequenced in {sequenced:.1f} s",
            flush=True,
        )
        full, bare, least = [], [], []
        for _ in range(ROUNDS):
            least.append(seconds(lambda: entries_alone(bench.url())))
            bare.append(seconds(lambda: read_and_hash(bench.url())))
            full.append(seconds(lambda: verify(signer)))
            print(
                f"entries alone {least[-1]:.2f} s, same rows {bare[-1]:.2f} s, verify {full[-1]:.2f} s;"
                f" load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
        signer.close()
    print(f"against the entries alone {min(full) / min(least):.2f}")
    print(f"audit_fsck ratio={min(full) / min(bare):.2f} goal={GOAL:g}")


def _measure(bench: _server.Bench) -> tuple[float, int]:
    with psycopg.connect(bench.admin_url) as connection:
        row = connection.execute("SELECT avg(octet_length(entry))::float8, count(*) FROM audit.entry").fetchone()
    assert row is not None
    return row


if __name__ == "__main__":
    main()
