"""A26: the database server dies under load, and its disk is full while entries get their places.

The server is one of its own with fsync on. It lets every session but the sequencer's commit without waiting for the
disk, so a leaf that was signed too early would be lost. The full disk is a limit on the size of the server's files
(RLIMIT_FSIZE): the kernel refuses the write just as a full disk does, without needing one.
"""

from __future__ import annotations

import itertools
import resource
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit import backup
from audit.sequencer import Sequencer
from audit.signer import Signer, SignerUnavailable
from audit.stored_tree import StoredTree
from config.stack import database, postgres
from tests.audit.attacks.test_a27_backlog import FILL
from tests.audit.processes import wait_until
from tests.audit.story import COUNTS, INSERT, ORIGIN, execute
from tests.conftest import Server, free_port

#: A commit returns before it is on disk and stays in memory for ten seconds.
CARELESS = ("-c", "synchronous_commit=off", "-c", "wal_writer_delay=10s", "-c", "autovacuum=off")
SEGMENT = 1 << 20
#: Entries that the writers may be ahead of what is signed: without an end, a slow disk lets them fill gigabytes.
AHEAD = 5_000


class OwnServer:
    """A PostgreSQL server that the test may kill."""

    def __init__(self, folder: Path) -> None:
        self.cluster = postgres.place(folder, port=free_port(), password="tests-only")
        self.cluster.initialise()
        resetting = [str(self.cluster.binaries / "pg_resetwal"), "--wal-segsize=1", "-D", str(self.cluster.data)]
        user = self.cluster.user
        subprocess.run(resetting, check=True, user=user, group=user, cwd="/", capture_output=True)
        self._log = (folder / "log").open("wb")
        self.process = self.start()

    def start(self, largest: int = resource.RLIM_INFINITY) -> subprocess.Popen[bytes]:
        """Start and wait until it answers; it cannot make a file larger than so many bytes."""
        user, output = self.cluster.user, self._log
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        self.process = subprocess.Popen(
            self.cluster.command(*CARELESS),
            stdout=output,
            stderr=output,
            user=user,
            group=user,
            cwd="/",
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard)),
        )
        wait_until(self._answers)
        return self.process

    def kill(self) -> None:
        """kill -9 of the postmaster; its children notice and end."""
        self.process.kill()
        self.process.wait()
        (self.cluster.data / "postmaster.pid").unlink(missing_ok=True)

    def halt(self) -> None:
        """A clean shutdown: nothing is left to recover."""
        self.process.send_signal(2)
        self.process.wait(60)

    def stop(self) -> None:
        """End the server and forget its files."""
        self.halt()
        self._log.close()
        shutil.rmtree(self.cluster.data, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.cluster.url()).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="module")
def own_server(postgres_server: Server, template_database: str) -> Iterator[tuple[OwnServer, Server]]:
    """The server with a migrated database called ``log``."""
    folder = Path(tempfile.mkdtemp(prefix="countersign-a26-"))
    made = OwnServer(folder)
    admin = Server(made.cluster.url())
    admin.create("log")
    execute(admin.admin("log"), "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    backup.make(folder / "template", url=postgres_server.admin(template_database))
    backup.restore(folder / "template", url=admin.admin("log"))
    yield made, admin
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def own_signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    """The signer of that database, on a disk of its own."""
    made = Signer(tmp_path_factory.mktemp("a26") / "signer", ORIGIN)
    yield made
    made.close()


def test_no_signed_leaf_is_lost_when_the_server_is_killed_under_load(
    own_server: tuple[OwnServer, Server], own_signer: Signer
) -> None:
    server, admin = own_server
    stop, written = threading.Event(), itertools.count(1)

    def write() -> None:
        try:
            with psycopg.connect(admin.url(database.APP, "log"), autocommit=True) as connection:
                while not stop.is_set():
                    connection.execute(INSERT)
                    number = next(written)
                    while number - own_signer.head()[0].size > AHEAD and not stop.wait(0.01):
                        pass
        except psycopg.Error:
            return  # the server was killed

    sequencer = Sequencer(admin.url(database.SEQUENCER, "log"), own_signer)
    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    while own_signer.head()[0].size < 400:
        sequencer.integrate()
        sequencer.sign()
    server.kill()
    stop.set()
    for writer in writers:
        writer.join()
    server.start()
    with pytest.raises(psycopg.Error):
        sequencer.run_once()
    sequencer.run_once()  # not frozen: every leaf that was signed is there
    sequencer.close()
    size = own_signer.head()[0].size
    assert execute(admin.admin("log"), COUNTS) == [(size, size, size)]
    assert execute(admin.admin("log"), "SELECT count(*) FROM audit.entry") == [(size,)]


def test_a_full_disk_while_sequencing_loses_and_doubles_nothing(
    own_server: tuple[OwnServer, Server], own_signer: Signer
) -> None:
    server, admin = own_server
    execute(admin.url(database.APP, "log"), FILL.replace("20000", "10000"))
    server.halt()
    server.start(SEGMENT)  # the read model's file cannot grow beyond it
    with closing(Sequencer(admin.url(database.SEQUENCER, "log"), own_signer)) as sequencer:
        # A file that has to grow, or a page of it that is written to make room in memory: whichever comes first.
        with pytest.raises(psycopg.Error, match="File too large"):
            sequencer.run_once()
        stuck = own_signer.head()[0].size
        total = int(execute(admin.admin("log"), "SELECT count(*) FROM audit.entry")[0][0])
        assert 0 < stuck < total
        with pytest.raises(psycopg.Error):  # the application is refused too: no change without its entry
            execute(admin.url(database.APP, "log"), FILL)
        server.kill()
        server.start()
        sequencer.close()
        sequencer.run_once()
    assert execute(admin.admin("log"), COUNTS) == [(total, total, total)]
    head = own_signer.head()[0]
    with psycopg.connect(admin.admin("log")) as connection:
        tree = StoredTree(lambda sql, values: connection.execute(sql, values).fetchall(), 1, total)
        assert (head.size, head.root) == (total, tree.root())


def test_a_full_disk_of_the_copies_signs_nothing_and_goes_on_where_it_stopped(
    own_server: tuple[OwnServer, Server], own_signer: Signer, tmp_path: Path
) -> None:
    _, admin = own_server
    sequencer = Sequencer(admin.url(database.SEQUENCER, "log"), own_signer, copies=str(tmp_path / "copies"))
    sequencer.run_once()  # what opens a log is signed, whichever test came first
    before = own_signer.head()[0].size
    execute(admin.url(database.APP, "log"), INSERT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))  # less than what is copied already
    try:
        with pytest.raises(OSError, match="File too large"):
            sequencer.run_once()
        assert own_signer.head()[0].size == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    sequencer.run_once()
    assert own_signer.head()[0].size == before + 1
    sequencer.close()


def test_a_signer_on_a_full_disk_is_said_and_nothing_is_lost(
    own_server: tuple[OwnServer, Server], own_signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, admin = own_server
    sequencer = Sequencer(admin.url(database.SEQUENCER, "log"), own_signer)
    sequencer.run_once()  # what opens a log is signed, whichever test came first
    before = own_signer.head()[0].size
    execute(admin.url(database.APP, "log"), INSERT)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("audit.signer.write", full)
        with pytest.raises(SignerUnavailable, match="No space left"):
            sequencer.run_once()
    assert own_signer.head()[0].size == before
    sequencer.run_once()
    assert own_signer.head()[0].size == before + 1
    sequencer.close()
