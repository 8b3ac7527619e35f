"""The log's real processes over a test's database: the signer, the sequencer, and writers that can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from config.stack import database
from tests.audit.story import ORIGIN
from tests.conftest import CommittedDatabase, free_port

_MANAGE = (
    "import sys; from django.core.management import execute_from_command_line as go; go(['manage', *sys.argv[1:]])"
)
#: Changes a table and appends the entry in one transaction, again and again; its argument keeps the ids apart.
WRITER = """
import os, sys, django
django.setup()
from django.db import connection, transaction
from audit import log
from tests.audit.story import LAYLA
from audit.models import Event
for number in range(100000):
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO tests_effect (id) VALUES (%s)", [int(sys.argv[1]) * 100000 + number])
        log.append(Event.MODEL_CHANGED, f"model:{sys.argv[1]}-{number}", by=LAYLA)
    print(number, flush=True)
"""


class Processes:
    """Starts processes with the settings of one log and ends those that it started."""

    def __init__(self, own: CommittedDatabase, folder: Path, subject_keys: str) -> None:
        self.environment = {
            "SIGNER_ADDRESS": f"127.0.0.1:{free_port()}",
            "SIGNER_SECRET_FILE": str(folder / "secret"),
            "SIGNER_STATE_DIR": str(folder / "signer"),
            "LOG_ORIGIN": ORIGIN,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "COUNTERSIGN_OFFLINE": "",
            "DATABASE_URL": own.url(),
            "SEQUENCER_DATABASE_URL": own.url(database.SEQUENCER),
            "SUBJECT_KEYS_DATABASE_URL": subject_keys,
            "SECRET_KEY": "k" * 50,
            "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def signer(self) -> subprocess.Popen[bytes]:
        """``manage.py audit_signer``, when it listens."""
        process = self.manage("audit_signer")
        assert process.stdout is not None
        assert b"signer of" in process.stdout.readline()
        return process

    def manage(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A management command as a process of its own."""
        return self.python(_MANAGE, *arguments)

    def python(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A Python program with the log's settings."""
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        """End every process that is left."""
        end(self._started, signal.SIGTERM)


def end(processes: Sequence[subprocess.Popen[bytes]], number: signal.Signals = signal.SIGKILL) -> None:
    """Send the signal and wait; what the processes said is shown when the test fails."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)
        if process.stdout is not None and not process.stdout.closed:
            print(process.communicate(timeout=20)[1].decode()[-2000:])  # noqa: T201


def wait_until(condition: Callable[[], bool]) -> None:
    """Until it is so; fails after half a minute."""
    tick = threading.Event()
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        if condition():
            return
        tick.wait(0.05)
    raise AssertionError("it did not happen within half a minute")
