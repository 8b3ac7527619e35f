"""The log's tests once more, on the oldest PostgreSQL that is served: Debian's 15, started here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from config.stack.postgres import Cluster
from tests.conftest import free_port, memory_folder
from tests.older_server import LEFT_OUT, REPORT

ROOT = Path(__file__).resolve().parent.parent
BINARIES = Path("/usr/lib/postgresql/15/bin")
INSTALL = "apt-get install --no-install-recommends postgresql-15"
#: Debian's package makes this user; PostgreSQL refuses root.
USER = "postgres"
FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_connections=200")


@pytest.fixture
def older_server() -> Iterator[str]:
    """The administrator's URL of a throw-away PostgreSQL 15."""
    if not (BINARIES / "postgres").exists():
        sentence = f"PostgreSQL 15 is not installed ({BINARIES}): run `{INSTALL}`"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    home = Path(tempfile.mkdtemp(prefix="countersign-pg15-", dir=memory_folder()))
    user = USER if os.geteuid() == 0 else None
    if user:
        shutil.chown(home, user)
    cluster = Cluster(BINARIES, home / "data", free_port(), "tests-only", user)
    cluster.initialise()
    options = [word for setting in FAST for word in ("-c", setting)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(cluster.command(*options), stdout=log, stderr=log, user=user, group=user, cwd="/")
        try:
            _wait_for(cluster.url(), process, home / "log")
            yield cluster.url()
        finally:
            process.send_signal(2)
            process.wait(30)
            shutil.rmtree(home, ignore_errors=True)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    pytest.fail(log.read_text())


def test_the_log_holds_on_postgresql_15(
    older_server: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = ours | {"TEST_DATABASE_ADMIN_URL": older_server, REPORT: str(tmp_path / "report.json")}
    command = [sys.executable, "-m", "pytest", "tests/audit", "-p", "tests.older_server", "-n0", "-q", "--tb=short"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-3000:]
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["version"].startswith("15."), told
    assert told["passed"] > 200, told
    lines = [
        f"tests/audit on PostgreSQL {told['version']}: {told['passed']} passed; {told['no_server']} need no server"
    ]
    lines += [f"left out there: {name}: it {reason}" for name, reason in LEFT_OUT.items()]
    record_property("said at the end", "\n".join(lines))
