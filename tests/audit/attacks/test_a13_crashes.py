"""A13: kill -9 of writers, of the sequencer after each of its steps, and ids that commit out of order."""

from __future__ import annotations

import signal
from collections.abc import Callable

import psycopg

from audit import health
from audit.sequencer import Sequencer
from audit.signer import Signer
from audit.signer_protocol import SignerClient
from config.stack import database
from tests.audit.processes import WRITER, Processes, end, wait_until
from tests.audit.story import COUNTS, INSERT, append, execute, verdict
from tests.conftest import CommittedDatabase


def test_kill_9_of_writers_and_of_the_sequencer_loses_and_doubles_nothing(
    committed_db: CommittedDatabase, processes: Processes
) -> None:
    execute(
        committed_db.url(database.OWNER),
        "CREATE TABLE tests_effect (id bigint PRIMARY KEY)",
        "GRANT INSERT, SELECT ON tests_effect TO countersign_app",
    )

    def leaves() -> int:
        return int(execute(committed_db.admin_url, "SELECT count(*) FROM audit.leaf")[0][0])

    for generation in (1, 2):
        goal = leaves() + 50
        sequencer = processes.manage("audit_sequencer")
        writer = processes.python(WRITER, str(generation))
        try:
            wait_until(lambda goal=goal: leaves() > goal)  # type: ignore[misc]
        finally:
            end([sequencer, writer])
    last = processes.manage("audit_sequencer")
    entries = "SELECT count(*) FROM audit.entry"
    wait_until(lambda: leaves() == int(execute(committed_db.admin_url, entries)[0][0]))
    wait_until(lambda: health.log_head().signed_size == leaves())
    end([last], signal.SIGTERM)
    effects = int(execute(committed_db.admin_url, "SELECT count(*) FROM tests_effect")[0][0])
    assert leaves() == effects + 2
    assert execute(committed_db.admin_url, COUNTS) == [(leaves(),) * 3]
    result = verdict(SignerClient(processes.environment["SIGNER_ADDRESS"], None))
    assert (result.outcome, result.findings) == ("verified", [])


def test_a_low_id_that_commits_late_is_taken_by_the_next_batch(
    committed_db: CommittedDatabase, sequence: Callable[[], None]
) -> None:
    sequence()
    with psycopg.connect(committed_db.url()) as slow:
        slow.execute(INSERT)
        append(5)
        sequence()
        slow.commit()
    sequence()
    ids = [row[0] for row in execute(committed_db.admin_url, "SELECT entry_id FROM audit.leaf ORDER BY leaf_index")]
    assert ids[-1] == min(ids[2:])
    assert execute(committed_db.admin_url, COUNTS) == [(8, 8, 8)]


def test_a_crash_after_signing_followed_by_a_lower_id_does_not_brick_the_log(
    committed_db: CommittedDatabase, sequencer: Sequencer, signer: Signer
) -> None:
    append(2)
    with psycopg.connect(committed_db.url()) as slow:
        slow.execute(INSERT)
        append(3)
        sequencer.integrate()
        tree = sequencer._ready()
        signer.sign(tree.size, tree.root(), [])  # signed, and the crash comes before the checkpoint is stored
        sequencer.close()
        slow.commit()
    restarted = Sequencer(committed_db.url(database.SEQUENCER), signer)
    restarted.run_once()
    restarted.close()
    assert execute(committed_db.admin_url, COUNTS) == [(8, 8, 8)]
    assert not any("not one" in finding for finding in verdict(signer).findings)
    assert signer.head()[0].size == 8
