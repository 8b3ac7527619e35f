"""Fixtures: a real PostgreSQL with the real roles; the runtime role is what code under test connects as."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from xdist.scheduler import LoadScopeScheduling

from config.stack import database, postgres

# How long an example takes says how busy the machine is, not whether the property holds.
hypothesis_settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any machine")

# The suite starts some hundred processes of ours: where a container forbids it, each would compile every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@dataclass(frozen=True)
class Server:
    """A throw-away PostgreSQL server with provisioned roles."""

    admin_url: str
    passwords: dict[str, str] = field(default_factory=database.fresh_passwords)

    def url(self, role: str, name: str) -> str:
        """A connection URL of ``role`` to the database ``name``."""
        return database.url_for(role, self.admin_url, self.passwords, name)

    def admin(self, name: str = "postgres") -> str:
        """The superuser's URL to the database ``name``."""
        return self.admin_url.rpartition("/")[0] + f"/{name}"

    def create(self, name: str, template: str | None = None) -> None:
        """Create a database, from a template when one is named, with the grants that a template does not carry."""
        with psycopg.connect(self.admin(), autocommit=True) as connection:
            statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            if template:
                statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
            connection.execute(statement)
        if template:
            with psycopg.connect(self.admin(name), autocommit=True) as connection:
                database.grant_database(connection)
        else:
            database.provision(self.admin(name), self.passwords)

    def drop(self, name: str) -> None:
        """Drop a database, closing what is still connected to it."""
        with psycopg.connect(self.admin(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


#: Each keeps a process busy for half a minute or more: first of what follows the folders below. A process that takes
#: one of these last is waited for by the others.
LONG_FILES = {
    "test_ci_examples",
    "test_importing_from_mlflow",
    "test_importing_many_models",
    "test_reconciling_mlflow",
    "test_second_engine",
    "test_served_by_mlflow",
    "test_sign_at_once",
    "test_tell_mlflow",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--all-servers``: see ``tests/explain/real``."""
    parser.addoption("--all-servers", action="store_true", help="also the model servers that few runs need")


def pytest_configure(config: pytest.Config) -> None:
    """Name our own marker."""
    config.addinivalue_line("markers", "all_servers: runs with --all-servers only; it installs a large server")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the servers that were not asked for; what takes longest starts first, so that nothing long is left
    alone at the end.
    """
    if not config.getoption("--all-servers"):
        left_out = [item for item in items if item.get_closest_marker("all_servers")]
        items[:] = [item for item in items if not item.get_closest_marker("all_servers")]
        config.hook.pytest_deselected(items=left_out)
    order = {"test_second_start": 0, "test_wipe": 2}  # the other journeys' demo was stopped once and is not yet wiped
    items.sort(key=lambda item: order.get(item.path.stem, 1))
    longest = ["journeys", "browser", "tests"]  # the last is this folder itself: linters and type checks
    items.sort(key=lambda item: item.path.stem not in LONG_FILES)
    items.sort(key=lambda item: (*longest, item.path.parent.name).index(item.path.parent.name))
    items.sort(key=lambda item: item.path.stem != "test_older_server")  # one test, minutes long, beside the journeys


class ByServer(LoadScopeScheduling):
    """Keeps together what shares a server: all journeys on the demo, two files on an MLflow, each file its fixtures.

    It goes by the path of a test. xdist's own groups travel in a private attribute that pytest 9.2 no longer has, and
    without a word every test becomes a group of its own (pytest-xdist issue 1386).
    """

    ON_ONE_MLFLOW = ("test_importing_from_mlflow", "test_reconciling_mlflow")

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        if path.parent.name == "journeys" and path.stem != "test_other_servers":
            return "the demo"
        return "an MLflow" if path.stem in self.ON_ONE_MLFLOW else str(path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServer:
    """xdist's hook: spread the suite our way, whatever ``--dist`` says, and in the order above."""
    config.option.loadscopereorder = False  # by the number of tests, a file with one test of minutes would come last
    return ByServer(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what passing tests have to say, whichever process ran them."""
    for report in terminalreporter.getreports("passed"):
        for name, words in report.user_properties:
            if name == "said at the end":
                terminalreporter.write_line(str(words))


def free_port() -> int:
    """A TCP port on the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def use_database(url: str, eraser: str = "") -> None:
    """Point Django's default connection at ``url``, and erasures at the URL ``eraser``."""
    settings.ERASER_DATABASE_URL = eraser
    connections["default"].close()
    parts = conninfo_to_dict(url)
    changes = {"NAME": parts["dbname"], "USER": parts["user"], "PASSWORD": parts["password"]}
    changes |= {"HOST": parts["host"], "PORT": str(parts["port"]), "OPTIONS": {}}
    connections["default"].settings_dict.update(changes)
    connections.databases["default"].update(changes)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """One server for the whole run; ``TEST_DATABASE_ADMIN_URL`` names a real one instead."""
    if given := os.environ.get("TEST_DATABASE_ADMIN_URL"):
        yield Server(given)
        return
    state = Path(tempfile.mkdtemp(prefix="countersign-pg-"))
    home = Path(tempfile.mkdtemp(prefix="countersign-pg-", dir=memory_folder()))
    cluster = replace(postgres.place(state, port=free_port(), password="tests-only"), data=home / "data")
    if cluster.user:
        shutil.chown(home, cluster.user)
    cluster.initialise()
    log = (state / "log").open("wb")
    fast = [
        "-c",
        "fsync=off",
        "-c",
        "full_page_writes=off",
        "-c",
        "synchronous_commit=off",
        "-c",
        "max_connections=200",
    ]
    process = subprocess.Popen(
        cluster.command(*fast), stdout=log, stderr=log, user=cluster.user, group=cluster.user, cwd="/"
    )
    try:
        _wait_for(cluster.url(), process, state / "log")
        yield Server(cluster.url())
    finally:
        process.send_signal(2)
        process.wait(20)
        log.close()
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


def memory_folder() -> str | None:
    """A folder in memory, where databases are copied in a fraction of the time; None where it is too small."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 4 * 1024**3
    return str(shared) if roomy else None


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.1)
    raise RuntimeError(log.read_text())


TEMPLATE = f"template_{os.getpid()}"


@pytest.fixture(scope="session")
def subject_keys(postgres_server: Server) -> Iterator[str]:
    """The database of the subjects' keys, one for the whole run; its URL as the server uses it."""
    name = f"keys_{os.getpid()}"
    database.create_keys_database(postgres_server.admin(), name)
    database.provision_keys(postgres_server.admin(name), postgres_server.passwords)
    settings.SUBJECT_KEYS_DATABASE_URL = postgres_server.url(database.KEYS, name)
    yield settings.SUBJECT_KEYS_DATABASE_URL
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def template_database(postgres_server: Server, subject_keys: str, django_db_blocker: Any) -> Iterator[str]:
    """A migrated database that others are copied from. Migrations run as the owner, nothing else does."""
    postgres_server.create(TEMPLATE)
    with django_db_blocker.unblock():
        use_database(postgres_server.url(database.OWNER, TEMPLATE))
        call_command("migrate", verbosity=0)
        connections["default"].close()
    yield TEMPLATE
    postgres_server.drop(TEMPLATE)


@pytest.fixture(scope="session")
def shared_database(postgres_server: Server, template_database: str) -> Iterator[str]:
    """The database in which tests run inside a transaction that is rolled back."""
    name = f"shared_{os.getpid()}"
    postgres_server.create(name, template_database)
    yield name
    connections["default"].close()
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def bank_template(postgres_server: Server, template_database: str, django_db_blocker: Any) -> Iterator[tuple[str, Any]]:
    """A migrated database in which the bank of ``scene`` is committed, and the bank; others are copied from it.

    Building it takes a fifth of a second, and a thousand tests begin with it.
    """
    from tests.governance import scene

    name = f"bank_{os.getpid()}"
    postgres_server.create(name, template_database)
    before = dict(connections["default"].settings_dict), settings.ERASER_DATABASE_URL
    with django_db_blocker.unblock():
        use_database(postgres_server.url(database.APP, name))
        bank = scene.build()
        connections["default"].close()
    connections["default"].settings_dict.update(before[0])
    settings.ERASER_DATABASE_URL = before[1]
    yield name, bank
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def bank_database(postgres_server: Server, bank_template: tuple[str, Any]) -> Iterator[str]:
    """The database in which tests of the bank run inside a transaction that is rolled back."""
    name = f"shared_bank_{os.getpid()}"
    postgres_server.create(name, bank_template[0])
    yield name
    connections["default"].close()
    postgres_server.drop(name)


@pytest.fixture
def django_db_setup(request: pytest.FixtureRequest, postgres_server: Server, shared_database: str) -> None:
    """pytest-django's own set-up would connect as the owner; ours connects as the runtime role.

    It runs before each test that wants a transaction: those of the bank get theirs where the bank is already.
    """
    name = request.getfixturevalue("bank_database") if "bank_template" in request.fixturenames else shared_database
    eraser = postgres_server.url(database.ERASER, name)
    if connections["default"].settings_dict["NAME"] != name:
        use_database(postgres_server.url(database.APP, name), eraser)
    settings.ERASER_DATABASE_URL = eraser


_numbers = itertools.count(1)


@dataclass(frozen=True)
class CommittedDatabase:
    """A database of its own for one test, with real commits."""

    server: Server
    name: str

    def url(self, role: str = database.APP) -> str:
        """The URL of ``role`` (see ``config.stack.database``) to this database."""
        return self.server.url(role, self.name)

    @property
    def admin_url(self) -> str:
        """The superuser's URL: what an attacker with full power over the database has."""
        return self.server.admin(self.name)


@pytest.fixture
def committed_db(
    postgres_server: Server, template_database: str, shared_database: str, django_db_blocker: Any
) -> Iterator[CommittedDatabase]:
    """A fresh database where transactions really commit: deferred constraints and other processes see them."""
    name = f"committed_{os.getpid()}_{next(_numbers)}"
    postgres_server.create(name, template_database)
    own = CommittedDatabase(postgres_server, name)
    with django_db_blocker.unblock():
        use_database(own.url(), own.url(database.ERASER))
        yield own
        use_database(postgres_server.url(database.APP, shared_database))
    postgres_server.drop(name)


@pytest.fixture
def client_for(request: pytest.FixtureRequest) -> Callable[[str], Client]:
    """``client_for("layla")``: a browser session of that persona (needs ``db`` or ``committed_db``)."""
    from tests import personas

    def signed_in(username: str) -> Client:
        client = Client()
        client.force_login(personas.get(username))
        return client

    return signed_in


@pytest.fixture
def api_for() -> Callable[[str], Client]:
    """``api_for("ci")``: a test client that sends that persona's API token."""
    from tests import personas

    def with_token(username: str) -> Client:
        return Client(headers={"Authorization": f"Bearer {personas.token_of(username)}"})

    return with_token


@pytest.fixture
def sequence(committed_db: CommittedDatabase, tmp_path: Path) -> Callable[[], None]:
    """Runs the sequencer and a signer once over the committed database, so that entries get their index."""
    from audit.sequencer import Sequencer
    from audit.signer import Signer

    signer = Signer(tmp_path / "signer", origin="tests.example/log")
    sequencer = Sequencer(committed_db.url(database.SEQUENCER), signer)

    def run() -> None:
        sequencer.run_once()

    return run


@pytest.fixture(scope="session")
def stack() -> Iterator[Any]:
    """The real stack with the demo story, started once for all journeys and browser tests."""
    from tests.stack import running_demo

    with running_demo() as running:
        yield running
