"""A PostgreSQL server of a test's own: made, stopped, started again, and its files touched while it stands still."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from config.stack import postgres
from tests.conftest import Server, free_port

_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=16MB")


class OwnCluster:
    """Started by ``start``; ``binaries`` hold ``pg_dump`` and ``pg_restore`` of the same version."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.cluster = postgres.place(state, port=free_port(), password="tests-only")
        self.cluster.initialise()
        self._process: subprocess.Popen[bytes] | None = None
        self.server = Server(self.cluster.url())

    @property
    def binaries(self) -> Path:
        """Where the client programs lie."""
        return self.cluster.binaries

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.cluster.data

    def start(self, *settings: str) -> None:
        """Start and wait until it answers."""
        options = [word for setting in (*_FAST, *settings) for word in ("-c", setting)]
        user = self.cluster.user
        with (self.state / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.cluster.command(*options), stdout=log, stderr=log, user=user, group=user, cwd="/"
            )
        for _ in range(300):
            try:
                psycopg.connect(self.cluster.url()).close()
                return
            except psycopg.OperationalError:
                time.sleep(0.05)
        raise AssertionError((self.state / "log").read_text())

    def stop(self) -> None:
        """A clean shutdown: everything is in the files."""
        if self._process is not None:
            self._process.send_signal(2)
            self._process.wait(30)
            self._process = None


@contextmanager
def own_cluster() -> Iterator[OwnCluster]:
    """A new server, not started, removed afterwards."""
    state = Path(tempfile.mkdtemp(prefix="countersign-own-"))
    made = OwnCluster(state)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(made.data.parent if os.geteuid() == 0 else made.data, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


def client(cluster: OwnCluster, program: str, *arguments: str, stdin: bytes | None = None) -> bytes:
    """Run a client program and return its output; fails with what it says."""
    done = subprocess.run(
        [str(cluster.binaries / program), *arguments], input=stdin, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
