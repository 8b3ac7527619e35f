"""Copies of checkpoints where the log's operator cannot rewrite them alone: a folder, a git repository, a webhook.

Each place is asked what it holds before it gets something new: a larger or another tree there is a finding.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
from datetime import UTC
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from audit.merkle.checkpoint import parse
from audit.outgoing import NotDelivered, post_signed
from audit.publication import Checkpoint, refuse_going_back

_GIT_PATIENCE = 60
_NEWEST = "newest.checkpoint"


def slug(origin: str) -> str:
    """A name for files: readable, and different for different logs."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", origin).strip("._")[:60]
    return f"{plain}-{hashlib.sha256(origin.encode()).hexdigest()[:8]}"


def to_folder(checkpoint: Checkpoint, text: str) -> bytes:
    """One file for each day and size below CHECKPOINT_FOLDER, and ``newest.checkpoint``. Raises ``NotDelivered``.

    ``text`` is the note with the cosignatures known by now. A file is complete or absent, also after a crash.
    """
    root = Path(settings.CHECKPOINT_FOLDER)
    try:
        if not root.is_dir():
            raise NotDelivered("refused", _("CHECKPOINT_FOLDER %(path)s is not a folder.") % {"path": root})
        folder = root / slug(checkpoint.origin)
        folder.mkdir(exist_ok=True)
        newest = folder / _NEWEST
        if newest.exists():
            refuse_going_back(_kept(newest), checkpoint.head)
        name = f"{checkpoint.at.astimezone(UTC):%Y-%m-%d}-{checkpoint.size}.checkpoint"
        _replace(folder / name, text)
        _replace(newest, text)
    except OSError as error:
        raise NotDelivered(
            "unreachable",
            _("%(path)s cannot be written: %(why)s.") % {"path": error.filename or root, "why": error.strerror},
        ) from error
    return f"{folder.name}/{name}".encode()


def to_git(checkpoint: Checkpoint, text: str) -> bytes:
    """Commit the checkpoint to the repository CHECKPOINT_GIT (a work tree on this machine); returns the commit's id.

    Only this file is committed; pushing it on is the repository's own business (a ``post-commit`` hook). Raises
    ``NotDelivered``.
    """
    repository = Path(settings.CHECKPOINT_GIT)
    if not repository.is_dir():
        raise NotDelivered("refused", _("CHECKPOINT_GIT %(path)s is not a folder.") % {"path": repository})
    _git(repository, "rev-parse", "--show-toplevel")
    name = f"{slug(checkpoint.origin)}.checkpoint"
    committed = _git(repository, "log", "-1", "--format=%H", "--", name, empty=True)
    if committed:
        refuse_going_back(_git(repository, "show", f"HEAD:./{name}"), checkpoint.head)
    try:
        _replace(repository / name, text)
    except OSError as error:
        raise NotDelivered(
            "unreachable", _("%(path)s cannot be written: %(why)s.") % {"path": repository, "why": error.strerror}
        ) from error
    _git(repository, "add", "--", name)
    if _git(repository, "status", "--porcelain", "--", name):
        message = f"Checkpoint of {checkpoint.origin}: {checkpoint.size} entries"
        author = ("-c", "user.name=Countersign", "-c", "user.email=countersign@localhost")
        _git(repository, *author, "commit", "--quiet", "-m", message, "--", name)
    return _git(repository, "log", "-1", "--format=%H", "--", name).strip().encode()


def to_webhook(checkpoint: Checkpoint, text: str) -> bytes:
    """POST the checkpoint to CHECKPOINT_WEBHOOK, signed (Standard Webhooks 1.0); returns the message's id.

    Raises ``NotDelivered``. A message that is sent again has the same id.
    """
    message_id = f"msg_{slug(checkpoint.origin)[-8:]}_{checkpoint.size}"
    head = parse(text).head
    document = {
        "type": "checkpoint.published",
        "timestamp": checkpoint.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": {
            "origin": head.origin,
            "size": head.size,
            "root": base64.b64encode(head.root).decode(),
            "checkpoint": text,
        },
    }
    post_signed(settings.CHECKPOINT_WEBHOOK, settings.WEBHOOK_SECRET, message_id, json.dumps(document).encode())
    return message_id.encode()


def _kept(path: Path) -> str:
    """What lies there; not more than a checkpoint can be."""
    with path.open("rb") as file:
        return file.read(1_000_000).decode(errors="replace")


def _replace(path: Path, text: str) -> None:
    """Write a file at once: on disk under another name first."""
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _git(repository: Path, *arguments: str, empty: bool = False) -> str:
    """The output of git. ``empty``: a failure counts as no output (a repository without any commit)."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=repository,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_GIT_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotDelivered("unreachable", _("git is not installed or does not end.")) from error
    if done.returncode and not empty:
        why = (done.stderr.strip() or done.stdout.strip()).partition("\n")[0][:300]
        raise NotDelivered("refused", _("git refuses in CHECKPOINT_GIT: %(why)s") % {"why": why or done.returncode})
    return "" if done.returncode else done.stdout
