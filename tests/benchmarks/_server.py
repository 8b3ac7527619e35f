"""A throw-away PostgreSQL server for benchmarks: durable (fsync on), migrated, with the real roles."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from config.stack import database, postgres
from config.stack.state import free_port
from tests.conftest import Server, use_database

NAME = "bench"
KEYS_NAME = "bench_keys"


@dataclass(frozen=True)
class Bench:
    """One migrated database on its own server; ``binaries`` hold pgbench of the same build; ``restart()`` stops
    it as an administrator does, in the middle of whatever runs, and starts it again.
    """

    server: Server
    binaries: Path
    restart: Callable[[], None]

    def url(self, role: str = database.APP) -> str:
        """The address of the database for ``role``."""
        return self.server.url(role, NAME)

    @property
    def admin_url(self) -> str:
        """The superuser's address."""
        return self.server.admin(NAME)

    def execute(self, statements: str) -> None:
        """Run SQL as the superuser."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute(statements)

    def environment(self, role: str = database.APP) -> dict[str, str]:
        """libpq's variables for a client program."""
        parts = urlsplit(self.url(role))
        return {
            "PATH": os.environ["PATH"],
            "PGHOST": str(parts.hostname),
            "PGPORT": str(parts.port),
            "PGUSER": role,
            "PGPASSWORD": self.server.passwords[role],
            "PGDATABASE": NAME,
        }


@contextmanager
def migrated_server(*server_settings: str) -> Iterator[Bench]:
    """Start, migrate as the owner, leave Django connected as the runtime role; stop and delete at the end.

    ``server_settings`` are PostgreSQL's, such as ``max_wal_size=4GB``.
    """
    state = Path(tempfile.mkdtemp(prefix="countersign-bench-"))
    cluster = postgres.place(state, port=free_port(), password="benchmarks-only")
    cluster.initialise()
    options = [word for setting in ("max_connections=200", *server_settings) for word in ("-c", setting)]
    log = (state / "log").open("wb")

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            cluster.command(*options), stdout=log, stderr=log, user=cluster.user, group=cluster.user, cwd="/"
        )

    processes = [start()]

    def restart() -> None:
        processes[-1].send_signal(2)
        processes[-1].wait(60)
        processes.append(start())
        _until_it_answers(cluster.url())

    try:
        _until_it_answers(cluster.url())
        server = Server(cluster.url())
        server.create(NAME)
        database.create_keys_database(server.admin(), KEYS_NAME)
        database.provision_keys(server.admin(KEYS_NAME), server.passwords)
        settings.SUBJECT_KEYS_DATABASE_URL = server.url(database.KEYS, KEYS_NAME)
        use_database(server.url(database.OWNER, NAME))
        call_command("migrate", verbosity=0)
        use_database(server.url(database.APP, NAME))
        yield Bench(server, cluster.binaries, restart)
    finally:
        connections["default"].close()
        processes[-1].send_signal(2)
        processes[-1].wait(60)
        log.close()
        shutil.rmtree(cluster.data.parent if cluster.user else cluster.data, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


def _until_it_answers(url: str) -> None:
    for _ in range(300):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise RuntimeError("the benchmark's PostgreSQL does not start")
