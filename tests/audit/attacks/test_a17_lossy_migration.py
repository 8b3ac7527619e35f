"""A17: a migration to another cluster loses rows; the new cluster counts its transactions from the beginning."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from django.db import IntegrityError, transaction

from audit import log
from audit.models import Event
from audit.sequencer import Sequencer
from audit.signer import Signer
from audit.verification import verify_log
from config.stack import database
from registry.models import Environment
from registry.models.environments import Perimeter, Tier
from tests.audit.cluster import OwnCluster, client, own_cluster
from tests.audit.sealed import SealedLog
from tests.audit.story import LAYLA, execute
from tests.conftest import CommittedDatabase, use_database

NAME = "moved"


def _move(source: SealedLog, target: OwnCluster) -> CommittedDatabase:
    """Dump and restore with PostgreSQL's own programs, as an operator who changes servers does."""
    dump = client(target, "pg_dump", "--format=custom", f"--dbname={source.database.admin_url}")
    database.provision(target.server.admin(), target.server.passwords)
    with psycopg.connect(target.server.admin(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {NAME}")
    client(target, "pg_restore", "--exit-on-error", f"--dbname={target.server.admin(NAME)}", stdin=dump)
    with psycopg.connect(target.server.admin(NAME), autocommit=True) as connection:
        database.grant_database(connection)
    return CommittedDatabase(target.server, NAME)


def _xid(url: str) -> int:
    return int(execute(url, "SELECT pg_current_xact_id()::text::bigint")[0][0])


@pytest.fixture
def recorded(sealed_log: SealedLog) -> SealedLog:
    """The log with a governed row, in a cluster whose transaction counter is far ahead of a new one's."""
    with transaction.atomic():
        made = Environment(
            slug="prod-uae",
            name="Production",
            regions=["uae"],
            log_sinks=["uae"],
            perimeter=Perimeter.values[0],
            tier=Tier.values[0],
        )
        made.save(force_insert=True)
        log.append(Event.ENVIRONMENT_REGISTERED, made, by=LAYLA)
    sequencer = Sequencer(sealed_log.database.url(database.SEQUENCER), sealed_log.signer)
    sequencer.run_once()
    sequencer.close()
    return sealed_log


def test_a_moved_log_verifies_goes_on_and_shows_every_row_that_was_lost_on_the_way(
    recorded: SealedLog, tmp_path: Path
) -> None:
    with psycopg.connect(recorded.database.admin_url, autocommit=True) as connection:
        for _ in range(3000):  # the old cluster has counted further than the new one will
            connection.execute("SELECT pg_current_xact_id()")
    with own_cluster() as target:
        target.start()
        moved = _move(recorded, target)
        assert _xid(moved.admin_url) < _xid(recorded.database.admin_url)
        try:
            use_database(moved.url(), moved.url(database.ERASER))
            _goes_on(moved, recorded.signer)
            _loses(moved, recorded.signer)
        finally:
            use_database(recorded.database.url(), recorded.database.url(database.ERASER))


def _goes_on(moved: CommittedDatabase, signer: Signer) -> None:
    """Nothing was lost: it verifies, and entries of lower transaction numbers get their index."""
    assert (verify_log(signer).outcome, verify_log(signer).findings) == ("verified", [])
    row = Environment.objects.get()
    with pytest.raises(IntegrityError, match="without an entry"), transaction.atomic():
        Environment.objects.update(name="Silent")
    with transaction.atomic():
        Environment.objects.update(name="Moved")
        log.append(Event.ENVIRONMENT_CHANGED, row, by=LAYLA)
    sequencer = Sequencer(moved.url(database.SEQUENCER), signer)
    assert sequencer.run_once() == 1
    sequencer.close()
    assert (verify_log(signer).outcome, verify_log(signer).size) == ("verified", 602)


def _loses(moved: CommittedDatabase, signer: Signer) -> None:
    """One row in a hundred did not arrive."""
    execute(
        moved.admin_url,
        "SET session_replication_role = replica",
        "DELETE FROM audit.entry WHERE id IN (SELECT entry_id FROM audit.leaf WHERE leaf_index % 100 = 50)",
    )
    verdict = verify_log(signer)
    lost = [finding for finding in verdict.findings if "its bytes are missing" in finding]
    assert len(lost) == 6
    assert verdict.findings[0] == "entry #50: its bytes are missing"
