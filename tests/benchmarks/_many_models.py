"""A real MLflow server with 200 models and 2,000 versions, made once and kept for the next benchmark."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.registry.tracking import ENVIRONMENT, ROOT, Tracking, running

MODELS, VERSIONS = 200, 2_000


def folder_of_many() -> Path:
    """The server's files, kept in the temporary folder and made again when they are not whole."""
    folder = Path(tempfile.gettempdir()) / f"countersign-mlflow-{MODELS}-{VERSIONS}"
    whole = folder / "whole"
    if not whole.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        print(f"making {MODELS} models with {VERSIONS} versions in MLflow (once) …", flush=True)
        with running(folder) as server:
            command = [sys.executable, "-m", "tests.registry.many_models", str(MODELS), str(VERSIONS)]
            environment = {**os.environ, **ENVIRONMENT, "MLFLOW_TRACKING_URI": server.url}
            subprocess.run(command, env=environment, cwd=ROOT, check=True, timeout=1800)
        whole.touch()
    return folder


@contextmanager
def many_models() -> Iterator[Tracking]:
    """The running server."""
    with running(folder_of_many()) as server:
        yield server
