"""The sequencer and the signer: order, gaps, crashes (attacks A13, A13b, A13c, A13d, A16, A18 of the design)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import transaction

from audit import health, log, queries
from audit.models import Event
from audit.sequencer import AlreadyRunning, Sequencer
from audit.signer import Signer, SignerRefusal, SignerUnavailable
from audit.signer_protocol import SignerClient, SignerServer, read_secret
from config.stack import database
from tests.audit.story import LAYLA, ORIGIN, append, execute, verdict
from tests.conftest import CommittedDatabase, free_port

INSERT = "INSERT INTO audit.entry (log_id, event_id, object_key, entry) VALUES (1, gen_random_uuid(), 'x/1', '{}')"
COUNTS = "SELECT count(*), count(DISTINCT entry_id), max(leaf_index) + 1 FROM audit.leaf"


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


def test_rollbacks_leave_gaps_in_ids_and_none_in_the_log(
    committed_db: CommittedDatabase, sequence: Callable[[], None], signer: Signer
) -> None:
    for _ in range(4):
        append()
        with psycopg.connect(committed_db.url()) as doomed:
            doomed.execute(INSERT)
            doomed.rollback()
    sequence()
    assert execute(committed_db.admin_url, COUNTS) == [(6, 6, 6)]
    assert execute(committed_db.admin_url, "SELECT max(id) > 6 FROM audit.entry") == [(True,)]
    assert verdict(signer).outcome == "verified"


def test_a_second_sequencer_is_refused(committed_db: CommittedDatabase, sequencer: Sequencer, signer: Signer) -> None:
    sequencer.run_once()
    with pytest.raises(AlreadyRunning):
        Sequencer(committed_db.url(database.SEQUENCER), signer).run_once()
    sequencer.close()
    second = Sequencer(committed_db.url(database.SEQUENCER), signer)
    second.run_once()
    second.close()


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


# ── real processes ───────────────────────────────────────────────────────────────────────────────────────────────────

WRITER = """
import os, sys, django
django.setup()
from django.db import connection, transaction
from audit import log
from tests.audit.story import LAYLA
from audit.models import Event
for number in range(100000):
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO tests_effect (id) VALUES (%s)", [int(sys.argv[1]) * 100000 + number])
        log.append(Event.MODEL_CHANGED, f"model:{sys.argv[1]}-{number}", by=LAYLA)
"""


@pytest.fixture
def signer_process(committed_db: CommittedDatabase, tmp_path: Path) -> Iterator[dict[str, str]]:
    """``manage.py audit_signer`` as a process of its own."""
    secret = tmp_path / "secret"
    environment = {
        "SIGNER_ADDRESS": f"127.0.0.1:{free_port()}",
        "SIGNER_SECRET_FILE": str(secret),
        "SIGNER_STATE_DIR": str(tmp_path / "signer"),
        "LOG_ORIGIN": ORIGIN,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "COUNTERSIGN_OFFLINE": "",
        "DATABASE_URL": committed_db.url(),
        "SEQUENCER_DATABASE_URL": committed_db.url(database.SEQUENCER),
        "SECRET_KEY": "k" * 50,
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
    }
    process = _manage("audit_signer", environment)
    try:
        assert process.stdout is not None
        assert b"signer of" in process.stdout.readline()
        yield environment
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _manage(command: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    program = (
        "import sys; from django.core.management import execute_from_command_line as go; go(['manage', sys.argv[1]])"
    )
    return _python(program, environment, command)


def _python(program: str, environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within half a minute")


def test_kill_9_of_writers_and_of_the_sequencer_loses_and_doubles_nothing(
    committed_db: CommittedDatabase, signer_process: dict[str, str]
) -> None:
    execute(
        committed_db.url(database.OWNER),
        "CREATE TABLE tests_effect (id bigint PRIMARY KEY)",
        "GRANT INSERT, SELECT ON tests_effect TO countersign_app",
    )
    environment = signer_process

    def leaves() -> int:
        return int(execute(committed_db.admin_url, "SELECT count(*) FROM audit.leaf")[0][0])

    for generation in (1, 2):
        goal = leaves() + 50
        sequencer = _manage("audit_sequencer", environment)
        writer = _python(WRITER, environment, str(generation))
        try:
            _wait_until(lambda goal=goal: leaves() > goal)  # type: ignore[misc]
        finally:
            for process in (sequencer, writer):
                process.send_signal(signal.SIGKILL)
                told = process.communicate()[1].decode()[-2000:]
                print(told)  # noqa: T201  shown only when the test fails
    last = _manage("audit_sequencer", environment)
    entries = "SELECT count(*) FROM audit.entry"
    _wait_until(lambda: leaves() == int(execute(committed_db.admin_url, entries)[0][0]))
    _wait_until(lambda: health.log_head().signed_size == leaves())
    last.terminate()
    last.communicate(timeout=20)
    effects = int(execute(committed_db.admin_url, "SELECT count(*) FROM tests_effect")[0][0])
    assert leaves() == effects + 2
    assert execute(committed_db.admin_url, COUNTS) == [(leaves(),) * 3]
    result = verdict(SignerClient(signer_process["SIGNER_ADDRESS"], None))
    assert (result.outcome, result.findings) == ("verified", [])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    """A signer served in a thread: its address and secret."""
    secret = b"s" * 40
    server = SignerServer(Signer(tmp_path / "served", ORIGIN), secret, "127.0.0.1:0")

    def serve() -> None:
        try:
            server.serve_forever()
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    yield server.address, secret
    server.close()


def test_only_who_knows_the_secret_gets_a_signature(served: tuple[str, bytes]) -> None:
    address, secret = served
    root = bytes(32)
    with pytest.raises(SignerRefusal, match="secret"):
        SignerClient(address, None).sign(1, root, [])
    with pytest.raises((SignerRefusal, SignerUnavailable)):
        SignerClient(address, b"x" * 40).sign(1, root, [])
    assert SignerClient(address, None).head()[0].size == 0
    client = SignerClient(address, secret)
    note = client.sign(1, root, [])
    assert client.sign(1, root, []) == note
    with pytest.raises(SignerRefusal) as caught:
        client.sign(1, bytes(31) + b"1", [])
    assert caught.value.code == "fork"


def test_nonsense_does_not_stop_the_signer(served: tuple[str, bytes]) -> None:
    import socket

    host, _, port = served[0].partition(":")
    for nonsense in (
        b"",
        b"\n",
        b"- {}\n",
        b"- [1]\n",
        b"- not json\n",
        b"\xff\xfe\n",
        b"x" * 100_000,
        b'- {"do":5}\n',
    ):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(nonsense)
    assert SignerClient(served[0], None).head()[0].origin == ORIGIN


def test_an_unreachable_signer_or_a_loose_secret_is_said(tmp_path: Path) -> None:
    with pytest.raises(SignerUnavailable, match="does not answer"):
        SignerClient(f"127.0.0.1:{free_port()}", None).head()
    for address in ("", "nowhere", "host:port"):
        with pytest.raises(SignerUnavailable, match="host:port"):
            SignerClient(address, None)
    secret = tmp_path / "secret"
    for prepare, sentence in (
        (lambda: None, "cannot be read"),
        (lambda: secret.write_bytes(b"x" * 40), "0600"),
        (lambda: (secret.write_bytes(b"short"), secret.chmod(0o600)), "32"),
    ):
        prepare()
        with pytest.raises(SignerUnavailable, match=sentence):
            read_secret(secret)


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
