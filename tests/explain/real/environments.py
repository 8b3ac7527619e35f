"""A virtual environment per model server, made once from a lock with hashes and kept for later runs.

The servers' pins contradict one another and ours (pandas below 3, numpy below 2, an old Flask), so that none of them
can live in ``.venv``. An environment is found by the digest of its lock, its interpreter and its steps: a changed lock
makes another one beside it. ``COUNTERSIGN_TEST_CACHE`` names the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOCKS = Path(__file__).parent / "locks"
#: Written last: an environment without it was interrupted, and is made again in place (it could not be moved).
COMPLETE = "complete"
#: Seconds that all downloads of one environment may take.
PATIENCE = 900


class CannotMake(RuntimeError):  # noqa: N818
    """An environment cannot be made here; the message says why."""


@dataclass(frozen=True)
class Environment:
    """An installed environment: its folder, and how long the installation took (0 when it was there already)."""

    folder: Path
    seconds: float

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def scripts(self) -> Path:
        """The folder of its commands."""
        return self.folder / "bin"


def cache() -> Path:
    """The folder of all environments."""
    given = os.environ.get("COUNTERSIGN_TEST_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "countersign-test-servers"


def prepare(server: str, *, python: str = sys.executable) -> Environment:
    """The environment of ``locks/<server>.lock`` under the interpreter ``python``, made when it is not there.

    Two processes that want the same one at once: the second waits for the first. Raises ``CannotMake``.
    """
    lock = LOCKS / f"{server}.lock"
    folder = cache() / f"{server}-{_key(lock, python)}"
    if (folder / COMPLETE).exists():
        return Environment(folder, 0.0)
    cache().mkdir(parents=True, exist_ok=True)
    with _alone(folder.with_suffix(".lock")):
        if (folder / COMPLETE).exists():
            return Environment(folder, 0.0)
        began = time.monotonic()
        _make(folder, lock, python)
        return Environment(folder, time.monotonic() - began)


def _key(lock: Path, python: str) -> str:
    """What the environment was made from, as a part of its name."""
    version = subprocess.run(
        [python, "-c", "import platform, sys; print(sys.version, platform.machine())"],
        capture_output=True,
        check=True,
    )
    return hashlib.sha256(lock.read_bytes() + version.stdout).hexdigest()[:16]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the file lock ``path``; the file stays, since removing it would let two hold it."""
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _make(folder: Path, lock: Path, python: str) -> None:
    """Make ``folder`` from nothing, or from what an interrupted run left. No package's code runs: wheels only."""
    ours = {"PYTHONPATH", "PIP_TARGET", "PIP_USER", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV"}
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    install = ["-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet", "--no-compile"]
    install += [
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
        "--requirement",
        str(lock),
    ]
    steps = [[python, "-m", "venv", "--without-pip", "--clear", str(folder)], [sys.executable, *install]]
    for step in steps:
        try:
            done = subprocess.run(step, env=clean, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired as error:
            raise CannotMake(f"not done within {PATIENCE} seconds: {' '.join(step)}") from error
        if done.returncode:
            raise CannotMake(f"this step failed: {' '.join(step)}\n{done.stderr[-3000:]}")
    (folder / COMPLETE).write_text(lock.name)
