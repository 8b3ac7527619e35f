"""The digest and the schema of a version, from its files in MLflow's artifact proxy.

The digest is the one of ``countersign`` (the pipelines' client): ``sha256:`` of the RFC 8785 canonical JSON of the
list of ``{"path", "sha256"}``, sorted by path. Nothing is written to disk and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import rfc8785
import yaml
from django.utils.translation import gettext as _

from audit.refusals import Refused
from registry.sources.mlflow_client import Client

#: Bounds of one version: a server that lists itself for ever must not keep the import busy for ever.
MAX_FILES, MAX_DEPTH = 20_000, 40
#: MLflow's description of a model, and what it needs to run; larger ones are hashed but not read, in bytes.
DESCRIPTION, REQUIREMENTS, MAX_READ = "MLmodel", "requirements.txt", 4 * 1024 * 1024

#: The parser in C where the package has one: eight times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Artifact:
    """``schema`` is ``{"inputs": [...], "outputs": [...]}``, empty when the model was logged without a signature.

    ``requirements`` are the lines that pip would read; None when there is no such file: nobody knows then.
    """

    digest: str
    schema: dict[str, Any]
    requirements: list[str] | None
    files: int


def read(client: Client, uri: str) -> Artifact:
    """Hash every file below ``uri``. Raises ``Refused`` when one cannot be read whole: half of it has no digest."""
    root = _proxied(client, uri)
    manifest: list[dict[str, str]] = []
    read_too: dict[str, bytes] = {}
    for path, size in _files(client, root, "", 0):
        sha256, kept = _hash(client, f"{root}/{path}", size, keep=path in (DESCRIPTION, REQUIREMENTS))
        manifest.append({"path": path, "sha256": sha256})
        if kept:
            read_too[path] = kept
        if len(manifest) > MAX_FILES:
            raise _unreadable(uri, _("more than %(limit)d files") % {"limit": MAX_FILES})
    if not manifest:
        raise _unreadable(uri, _("no files"))
    manifest.sort(key=lambda file: file["path"])
    digest = "sha256:" + hashlib.sha256(rfc8785.dumps(manifest)).hexdigest()
    needs = read_too.get(REQUIREMENTS)
    return Artifact(
        digest=digest,
        schema=schema_of(read_too.get(DESCRIPTION, b"")),
        requirements=None if needs is None else lines_of(needs),
        files=len(manifest),
    )


def download(client: Client, uri: str, folder: Path, *, largest: int) -> str:
    """Write every file below ``uri`` into ``folder``; answers the digest of what was written, as ``read`` makes it.

    Nothing is opened. Raises ``Refused`` when a file cannot be read whole or all have more than ``largest`` bytes.
    """
    root = _proxied(client, uri)
    manifest: list[dict[str, str]] = []
    left = largest
    for path, _size in _files(client, root, "", 0):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        state = hashlib.sha256()
        with client.artifact(f"{root}/{path}") as pieces, target.open("wb") as file:
            for piece in pieces:
                left -= len(piece)
                if left < 0 or len(manifest) >= MAX_FILES:
                    raise _unreadable(uri, _("more than %(limit)d bytes") % {"limit": largest})
                state.update(piece)
                file.write(piece)
        manifest.append({"path": path, "sha256": state.hexdigest()})
    manifest.sort(key=lambda file: file["path"])
    return "sha256:" + hashlib.sha256(rfc8785.dumps(manifest)).hexdigest()


def schema_of(description: bytes) -> dict[str, Any]:
    """The signature in an ``MLmodel`` file; empty when there is none or it cannot be read."""
    try:
        signature = (yaml.load(description, LOADER) or {}).get("signature") or {}  # noqa: S506  both are the safe ones
        sides = {side: json.loads(signature.get(side) or "[]") for side in ("inputs", "outputs")}
    except (yaml.YAMLError, ValueError, AttributeError, TypeError, RecursionError):
        return {}
    if not all(isinstance(side, list) for side in sides.values()):
        return {}
    return sides if any(sides.values()) else {}


def lines_of(requirements: bytes) -> list[str]:
    """The requirements in a file that pip reads, without comments; a line that goes on below is one."""
    text = requirements.decode(errors="replace").replace("\\\n", " ")
    stripped = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def _proxied(client: Client, uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme != "mlflow-artifacts" or parts.netloc not in ("", urlsplit(client.address).netloc):
        sentence = _(
            "The files at “%(uri)s” are not behind the artifact proxy of %(server)s: start it with --serve-artifacts. "
            "Without every file there is no digest."
        )
        raise Refused(sentence % {"uri": uri[:200], "server": client.address}, code="mlflow.artifacts_not_proxied")
    return parts.path.strip("/")


def _files(client: Client, root: str, folder: str, depth: int) -> Iterator[tuple[str, int]]:
    if depth > MAX_DEPTH:
        raise _unreadable(root, _("folders deeper than %(limit)d") % {"limit": MAX_DEPTH})
    for entry in client.artifacts(f"{root}/{folder}".rstrip("/")):
        name = str(entry.get("path", ""))
        if not name or "/" in name or "\\" in name or name in (".", ".."):
            raise _unreadable(root, _("the name “%(name)s”") % {"name": name[:80]})
        path = f"{folder}/{name}" if folder else name
        if entry.get("is_dir"):
            yield from _files(client, root, path, depth + 1)
        else:
            yield path, int(entry.get("file_size", -1))


def _hash(client: Client, path: str, size: int, *, keep: bool) -> tuple[str, bytes]:
    state, length, kept = hashlib.sha256(), 0, b""
    with client.artifact(path) as pieces:
        for piece in pieces:
            state.update(piece)
            length += len(piece)
            if keep and length <= MAX_READ:
                kept += piece
    if size >= 0 and length != size:
        raise _unreadable(path, _("%(got)d of %(size)d bytes") % {"got": length, "size": size})
    return state.hexdigest(), kept if length <= MAX_READ else b""


def _unreadable(place: str, what: str) -> Refused:
    sentence = _("The files at “%(place)s” cannot be read: %(what)s. Nothing of this version was imported.")
    return Refused(sentence % {"place": place[:200], "what": what}, code="mlflow.artifact_unreadable")
