"""The publisher as a process: one only, calm about outages, gone on SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.publication import AlreadyPublishing, Register
from audit.publisher import Publisher
from config.stack import database
from tests.audit.outside import Answer, Cosigner, Received, policy_text, serving
from tests.audit.story import append, execute
from tests.conftest import CommittedDatabase

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_second_publisher_of_one_database_is_refused(committed_db: CommittedDatabase, publisher: Publisher) -> None:
    publisher.run_once()
    second = Publisher(committed_db.url(database.SEQUENCER))
    with pytest.raises(AlreadyPublishing):
        second.run_once()
    publisher.close()
    assert second.run_once() == []
    second.close()


def test_whoever_comes_next_need_not_wait_until_the_server_notices_the_end(committed_db: CommittedDatabase) -> None:
    first, second = (Register(committed_db.url(database.SEQUENCER)) for _each in range(2))
    assert first.fetch("SELECT 1", []) == [(1,)]
    connection = first._connection
    assert connection is not None
    ended = connection.close
    connection.close = lambda: None  # type: ignore[method-assign] # as a server that has not noticed yet
    first.close()
    assert second.fetch("SELECT 1", []) == [(1,)]
    second.close()
    ended()


def test_an_outage_of_the_database_is_a_sentence_and_ends_by_itself(
    committed_db: CommittedDatabase, sequence: Callable[[], None], publisher: Publisher, follow: Callable[..., None]
) -> None:
    sequence()
    unreachable = Publisher(committed_db.url(database.SEQUENCER).replace("127.0.0.1:", "127.0.0.1:1"))
    assert "does not answer" in unreachable.run_once()[0]
    cosigner = Cosigner()
    with serving(cosigner.answers) as server:
        follow({"w": (cosigner.vkey, server.url)})
        publisher.run_once()
        append()
        sequence()
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'audit-publisher'"
        execute(committed_db.admin_url, cut)
        assert "does not answer" in publisher.run_once()[0]
        assert publisher.run_once() == []
    assert execute(committed_db.url(), "SELECT max(size) FROM audit.cosignature") == [(3,)]


def test_the_process_pushes_to_a_witness_and_ends_on_sigterm(
    committed_db: CommittedDatabase, sequence: Callable[[], None], tmp_path: Path
) -> None:
    cosigner, asked = Cosigner(), threading.Event()

    def answers(got: Received) -> Answer:
        asked.set()
        return cosigner.answers(got)

    sequence()
    with serving(answers) as server:
        policy = tmp_path / "policy"
        policy.write_text(policy_text({"w": (cosigner.vkey, server.url)}, 1))
        environment = {name: value for name, value in os.environ.items() if name != "COUNTERSIGN_OFFLINE"} | {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SECRET_KEY": "x" * 60,
            "DATABASE_URL": committed_db.url(),
            "SEQUENCER_DATABASE_URL": committed_db.url(database.SEQUENCER),
            "WITNESS_POLICY": str(policy),
        }
        command = [sys.executable, str(ROOT / "manage.py"), "audit_publisher"]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            assert asked.wait(60), process.poll()
        finally:
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert execute(committed_db.url(), "SELECT size FROM audit.cosignature") == [(2,)]
