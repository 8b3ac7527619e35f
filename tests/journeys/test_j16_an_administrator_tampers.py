"""J16: a database administrator tampers. What is refused is refused; what is not, is found; new events keep flowing.

An edit is made in the running demo and taken back. The rewrite of the whole history happens in a copy of its database.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from config.stack import database
from tests.audit.sealed import SealedLog
from tests.audit.story import execute
from tests.conftest import CommittedDatabase, Server
from tests.stack import ROOT, RunningStack, eventually

SILENT = "from registry.models import Environment; Environment.objects.update(name='Silent')"


def administrator(stack: RunningStack, name: str = "countersign") -> str:
    """The superuser's URL to a database of the demo's server."""
    ports = json.loads((stack.state / "ports.json").read_text())
    return f"postgresql://postgres:{_secrets(stack)['postgres']}@127.0.0.1:{ports['postgres']}/{name}"


def _secrets(stack: RunningStack) -> dict[str, str]:
    told: dict[str, str] = json.loads((stack.state / "secrets" / "generated.json").read_text())
    return told


def signed_entries(stack: RunningStack) -> int:
    """How many entries are under a signed checkpoint."""
    return int(httpx.get(f"{stack.url}/log/checkpoint", timeout=10).text.splitlines()[1])


def test_update_delete_truncate_and_queryset_update_are_refused(stack: RunningStack) -> None:
    app = database.url_for(database.APP, administrator(stack), _secrets(stack))
    for statement in ("UPDATE audit.entry SET entry = '{}'", "DELETE FROM audit.entry", "TRUNCATE audit.entry"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(app, statement)
        with pytest.raises(psycopg.errors.RestrictViolation):
            execute(administrator(stack), statement + (" CASCADE" if "TRUNCATE" in statement else ""))
    refused = stack.manage("shell", "-c", SILENT)
    assert refused.returncode != 0
    assert "without an entry in the audit log" in refused.stderr


@contextmanager
def _edited(stack: RunningStack, index: int) -> Iterator[None]:
    """What the log shows of one entry is another subject, for a while."""
    url, where = administrator(stack), f"WHERE log_id = 1 AND leaf_index = {index}"
    before = execute(url, f"SELECT subject FROM audit.event {where}")[0][0]
    edit = f"UPDATE audit.event SET subject = %s {where}"
    execute(url, "SET session_replication_role = replica", edit, values=["model:innocent"])
    try:
        yield
    finally:
        execute(url, "SET session_replication_role = replica", edit, values=[before])


def test_an_edit_is_found_the_banner_stands_on_every_page_and_new_events_keep_flowing(stack: RunningStack) -> None:
    try:
        with _edited(stack, 5):
            found = stack.manage("audit_verify", "--record")
            assert found.returncode == 1, found.stdout + found.stderr
            assert "first difference: entry #5" in found.stdout
            signed = signed_entries(stack)
            auditor = stack.browser("noor")  # signing in is an entry
            for page in ("/", "/log", "/models", "/verify"):
                text = auditor.get(page).text
                assert 'class="alarm" role="alert"' in text, page
                assert "entry #5" in text, page
            eventually(lambda: signed_entries(stack) > signed)
    finally:
        mended = stack.manage("audit_verify", "--record")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert 'class="alarm"' not in auditor.get("/").text
    assert "Log verified" in auditor.get("/").text


@contextmanager
def _copy(stack: RunningStack) -> Iterator[CommittedDatabase]:
    """The demo's database once more, on the same server."""
    from config.stack import postgres

    name = "rewritten"
    server = Server(administrator(stack, "postgres"), _secrets(stack))
    binaries = postgres.place(stack.state, port=0, password="").binaries
    dump = subprocess.run(
        [str(binaries / "pg_dump"), "--format=custom", f"--dbname={administrator(stack)}"],
        capture_output=True,
        check=True,
    ).stdout
    server.drop(name)
    with psycopg.connect(server.admin(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        restore = [str(binaries / "pg_restore"), "--exit-on-error", f"--dbname={server.admin(name)}"]
        subprocess.run(restore, input=dump, check=True, capture_output=True)
        with psycopg.connect(server.admin(name), autocommit=True) as connection:
            database.grant_database(connection)
        yield CommittedDatabase(server, name)
    finally:
        server.drop(name)


def test_a_rewritten_history_is_found_against_a_checkpoint_that_somebody_kept(
    stack: RunningStack, tmp_path: Path
) -> None:
    (tmp_path / "kept").write_text(httpx.get(f"{stack.url}/log/checkpoint", timeout=10).text)
    # While it stands still the signer's head stays the copy's: anything else would be a rollback, rightly.
    with stack.without("sequencer"), _copy(stack) as copy:
        whole = _verify(stack, copy, "--checkpoint", str(tmp_path / "kept"))
        assert whole.returncode == 0, whole.stdout + whole.stderr
        SealedLog(copy, None).rewrite(b'"version:credit-scoring/2"', b'"version:credit-scoring/1"')  # type: ignore[arg-type]
        found = _verify(stack, copy, "--checkpoint", str(tmp_path / "kept"))
    assert found.returncode == 1, found.stdout + found.stderr
    assert "the checkpoint kept outside has another root" in found.stdout
    assert "the signer's head has another root" in found.stdout


def _verify(stack: RunningStack, copy: CommittedDatabase, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "audit_verify", *arguments],
        cwd=ROOT,
        env=stack.environment() | {"DATABASE_URL": copy.url()},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
