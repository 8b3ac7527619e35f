"""A20: one bit flips, in a file of a server that stands still, or in a stored row of one that runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit import checks, queries
from audit.signer import Signer
from audit.verification import verify_log
from config.stack import database
from tests.audit.cluster import OwnCluster, client, own_cluster
from tests.audit.sealed import SealedLog
from tests.audit.story import execute
from tests.conftest import CommittedDatabase, use_database

#: A column of bytes, its table, one row, and what is then said first.
BITS = {
    "an entry": ("audit.entry", "entry", "id = 300", "entry #"),
    "the hash of a leaf": ("audit.leaf", "leaf_hash", "leaf_index = 300", "entry #300:"),
    "a tile": ("audit.tile", "hashes", "level = 0 AND idx = 1", "entry #256: tile 0/1"),
    "the root of a tile": ("audit.tile", "root", "level = 0 AND idx = 1", "entry #511: tile 0/1"),
    "the root of a checkpoint": ("audit.checkpoint", "root", "size = 302", "checkpoint 302"),
    "a sealed value": ("audit.payload", "body", "field = 'reason'", "entry #"),
    "a salt": ("audit.payload", "salt", "field = 'reason'", "entry #"),
}


@pytest.mark.parametrize("what", BITS)
def test_one_flipped_bit_in_a_stored_row_is_found(sealed_log: SealedLog, what: str) -> None:
    table, column, where, words = BITS[what]
    one = f"ctid = (SELECT min(ctid) FROM {table} WHERE {where}) AND {where}"
    bit = 200  # in an entry this is a digit: other bits would no longer be JSON, which the table itself refuses
    sealed_log.attack(
        f"UPDATE {table} SET {column} = set_bit({column}, {bit}, 1 - get_bit({column}, {bit})) WHERE {one}"
    )
    verdict = sealed_log.verify()
    assert verdict.outcome == "failed"
    assert verdict.findings[0].startswith(words), verdict.findings


def test_every_single_bit_of_a_note_counts(sealed_log: SealedLog) -> None:
    note = sealed_log.note(302)
    for place in (3, len("tests.example/log\n") + 1, len(note) // 3, len(note) - 60):
        changed = note[:place] + chr(ord(note[place]) ^ 1) + note[place + 1 :]
        with psycopg.connect(sealed_log.database.admin_url) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute("UPDATE audit.checkpoint SET note = %s WHERE size = 302", [changed])
        verdict = sealed_log.verify()
        assert any(finding.startswith("checkpoint 302") for finding in verdict.findings), place


def _copied(source: SealedLog, target: OwnCluster) -> CommittedDatabase:
    dump = client(target, "pg_dump", "--format=custom", f"--dbname={source.database.admin_url}")
    database.provision(target.server.admin(), target.server.passwords)
    with psycopg.connect(target.server.admin(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE rotten")
    client(target, "pg_restore", "--exit-on-error", f"--dbname={target.server.admin('rotten')}", stdin=dump)
    with psycopg.connect(target.server.admin("rotten"), autocommit=True) as connection:
        database.grant_database(connection)
    return CommittedDatabase(target.server, "rotten")


def _flip(path: Path, sought: bytes) -> None:
    """Flip one bit of ``sought`` in a file of the stopped server."""
    data = bytearray(path.read_bytes())
    data[data.index(sought) + 5] ^= 1
    path.write_bytes(data)


def test_a_bit_that_flips_on_the_disk_is_never_verified(sealed_log: SealedLog, monkeypatch: Any) -> None:
    with own_cluster() as target:
        target.start()
        own = _copied(sealed_log, target)
        ask: Sequence[Any] = execute(
            own.admin_url, "SELECT pg_relation_filepath('audit.entry_1'), entry FROM audit.entry WHERE id = 300"
        )[0]
        assert execute(own.admin_url, "SHOW data_checksums") == [("on",)]
        target.stop()
        _flip(target.data / ask[0], ask[1])
        try:
            use_database(own.url(), own.url(database.ERASER))
            target.start()
            _the_server_notices(sealed_log.signer, monkeypatch)
            target.stop()
            target.start("ignore_checksum_failure=on")
            _the_verification_notices(sealed_log.signer)
        finally:
            use_database(sealed_log.database.url(), sealed_log.database.url(database.ERASER))


def _the_server_notices(signer: Signer, monkeypatch: Any) -> None:
    """The page cannot be read: that is «could not verify», never «verified»."""
    monkeypatch.setattr(checks, "signer_for_reading", lambda: signer)
    with pytest.raises(psycopg.Error, match=r"invalid page|checksum"):
        verify_log(signer)
    assert checks.self_check() == "unknown"
    assert queries.log_state().state == "unknown"
    assert "could not be read" in queries.log_state().finding


def _the_verification_notices(signer: Signer) -> None:
    """A server that ignores its checksums hands the bytes out, and the tree refuses them."""
    verdict = verify_log(signer)
    assert verdict.outcome == "failed"
    assert any("do not have the hash" in finding for finding in verdict.findings)
