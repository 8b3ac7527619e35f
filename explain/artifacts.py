"""The files of a version on this worker's disk, for what is computed in process: only bytes with the version's digest.

Nothing here opens them; ``explain.isolated`` does, in a process without secrets and without a network.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

from django.conf import settings

from audit.refusals import Refusal
from registry.models import ModelVersion
from registry.sources import artifacts
from registry.sources.mlflow_client import Client
from registry.sources.servers import TrackingServer, tracking_servers

logger = logging.getLogger(__name__)

#: Bytes of one version, and how many versions are kept.
LARGEST, KEPT = 512 << 20, 8


def path_of(version: ModelVersion) -> Path | None:
    """The folder with the version's files; None when no tracking server gives exactly these.

    Why there is none is logged: it only means that the model is explained from outside.
    """
    folder = Path(settings.STATE_DIR) / "explained-artifacts"
    kept = folder / version.digest.removeprefix("sha256:")
    if kept.is_dir():
        return kept
    for server in tracking_servers():
        if not version.model.name.startswith(server.prefix):
            continue
        try:
            return _download(server, version, folder, kept)
        except (Refusal, OSError) as error:
            logger.info("the files of %s are not at hand from %s: %s", version.subject, server.uri, error)
    return None


def _download(server: TrackingServer, version: ModelVersion, folder: Path, kept: Path) -> Path | None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Client(server) as client, tempfile.TemporaryDirectory(dir=folder) as scratch:
        name = version.model.name.removeprefix(server.prefix)
        uri = client.artifact_uri(name, version.number)
        whole = Path(scratch) / "files"
        whole.mkdir()
        found = artifacts.download(client, uri, whole, largest=LARGEST)
        if found != version.digest:
            logger.info("%s has other files by now at %s: %s", version.subject, server.uri, found)
            return None
        _forget(folder)
        if not kept.exists():
            whole.rename(kept)
    return kept


def _forget(folder: Path) -> None:
    """Make room: the oldest go."""
    old = sorted((each for each in folder.iterdir() if len(each.name) == 64), key=lambda each: each.stat().st_mtime)
    for each in old[: max(0, len(old) - KEPT + 1)]:
        shutil.rmtree(each, ignore_errors=True)
