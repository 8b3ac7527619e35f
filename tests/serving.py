"""The product's web server over a test's own database, and the client installed where nothing else is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from config.stack.state import free_port

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


@dataclass
class WebServer:
    """A started Granian with the real settings. Its process group can be halted, to hang without going away."""

    url: str
    process: subprocess.Popen[bytes]

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It accepts connections and answers nothing."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it; twice is fine."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(20)


@contextmanager
def web_server(
    database_url: str, state: Path, *, workers: int = 1, broker: str = "redis://127.0.0.1:1/0"
) -> Iterator[WebServer]:
    """Serve ``config.wsgi`` over that database until the block ends; without a ``broker``, nothing is delivered."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    environment |= {
        "COUNTERSIGN_STATE": str(state),
        "DATABASE_URL": database_url,
        "SUBJECT_KEYS_DATABASE_URL": settings.SUBJECT_KEYS_DATABASE_URL,
        "CELERY_BROKER_URL": broker,
        "SECRET_KEY": "tests-only-" * 6,
        "ATTESTATION_KEY": settings.ATTESTATION_KEY,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "ALLOWED_HOSTS": "127.0.0.1",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    command = [str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers), "--blocking-threads", "4", "--no-access-log", "config.wsgi:application"]
    with (state / "web.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        served = WebServer(f"http://127.0.0.1:{port}", process)
        try:
            _until_it_answers(served, state / "web.log")
            yield served
        finally:
            served.stop()


def _until_it_answers(served: WebServer, log: Path) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{served.url}/healthz", timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            assert served.process.poll() is None, log.read_text()[-3000:]
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-3000:])


@dataclass(frozen=True)
class Workspace:
    """A checkout with ``cli/`` and an environment of its own in which nothing is installed yet."""

    folder: Path
    python: Path

    def environment(self, **more: str) -> dict[str, str]:
        """A pipeline's environment. pip takes no index here: the build tools are lent, all else must be there."""
        return {
            "PATH": f"{self.python.parent}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self.folder / "build-tools"),
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this one the other way round: it means no isolation
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **more,
        }

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command in the checkout."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


def workspace(folder: Path) -> Workspace:
    """Make one: the client's source as it lies in the repository, links included."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(
        ROOT / "cli", folder / "cli", symlinks=True, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__")
    )
    tools = folder / "build-tools"
    tools.mkdir()
    packages = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
    for name in ("setuptools", "_distutils_hack", *(each.name for each in packages.glob("setuptools-*.dist-info"))):
        (tools / name).symlink_to(packages / name)
    venv.create(folder / "environment", with_pip=True, symlinks=True)
    return Workspace(folder, folder / "environment" / "bin" / "python")
