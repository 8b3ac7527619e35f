"""The digest of a version: what a sign-off is for.

``sha256:`` of the RFC 8785 canonical JSON of the manifest, a list of ``{"path", "sha256"}`` sorted by path (by Unicode
code point). ``path`` is relative to the folder, with ``/``; ``sha256`` is the file's, in hexadecimal. A single file is
a manifest of one, under its name. Only names and contents count: no times, no modes, no order of the file system.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from countersign.exits import Exit, Stop


def digest_of_path(path: Path) -> str:
    """The digest of a file or folder. Raises ``Stop`` (usage) for what has no well-defined content."""
    canonical = json.dumps(manifest(path), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """``sha256:`` of a document's bytes, not of a manifest as for an artifact. Raises ``Stop`` (usage)."""
    return "sha256:" + _sha256(path)


def manifest(path: Path) -> list[dict[str, str]]:
    """The files below ``path`` with their SHA-256, sorted by path."""
    if not path.exists():
        raise Stop(Exit.USAGE, f"There is no file or folder {path}.")
    if path.is_file():
        return [{"path": _name(path.name), "sha256": _sha256(path)}]
    found: list[dict[str, str]] = []
    for entry in path.rglob("*"):
        if entry.is_symlink():
            raise Stop(Exit.USAGE, f"{entry} is a symbolic link: its content may change. Copy the file.")
        if entry.is_dir():
            continue
        if not entry.is_file():
            raise Stop(Exit.USAGE, f"{entry} is neither a file nor a folder.")
        found.append({"path": _name(entry.relative_to(path).as_posix()), "sha256": _sha256(entry)})
    if not found:
        raise Stop(Exit.USAGE, f"The folder {path} holds no files.")
    return sorted(found, key=lambda file: file["path"])


def _name(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Stop(Exit.USAGE, f"The name {name!r} is not UTF-8.") from None
    return name


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Stop(Exit.USAGE, f"{path} cannot be read: {error.strerror}.") from error
