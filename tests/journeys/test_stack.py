"""The stack itself: what it leaves on disk, how it says no, how it stops, and what a kill cannot break."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from config.stack.state import free_port
from tests.stack import RunningStack, eventually, launch


def test_the_state_folder_and_its_secrets_are_private(stack: RunningStack) -> None:
    assert stat.S_IMODE(stack.state.stat().st_mode) == 0o700
    for name in ("environment.json", "supervisord.conf", "secrets/generated.json", "secrets/signer"):
        assert stat.S_IMODE((stack.state / name).stat().st_mode) == 0o600, name


def test_no_secret_is_in_the_process_list(stack: RunningStack) -> None:
    import json

    secrets = json.loads((stack.state / "secrets" / "generated.json").read_text())
    listed = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert not [name for name, value in secrets.items() if len(value) > 12 and value in listed]


def test_a_second_start_from_the_same_folder_is_a_sentence(stack: RunningStack) -> None:
    second = launch(stack.state, free_port())
    assert second.process.wait(60) == 1
    eventually(lambda: any("already runs" in line for line in second.output), seconds=5)
    assert not any("Traceback" in line for line in second.output)


def test_a_busy_port_is_a_sentence(stack: RunningStack) -> None:
    with tempfile.TemporaryDirectory() as folder:
        second = launch(Path(folder), stack.port)
        assert second.process.wait(60) == 1
        eventually(lambda: any(f"Port {stack.port} is used" in line for line in second.output), seconds=5)
        assert not any("Traceback" in line for line in second.output)


@pytest.mark.parametrize("program", ["sequencer", "signer", "web"])
def test_a_killed_process_comes_back_and_the_log_goes_on(stack: RunningStack, program: str) -> None:
    before = stack.pid_of(program)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: stack.pid_of(program) not in (0, before), seconds=30)
    stack.wait_ready()
    stack.browser("noor")  # signing in is an entry
    eventually(lambda: re.search(r'"pending":\s*0|being sequenced', _log_head(stack)) is not None, seconds=30)
    verified = stack.manage("audit_verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def _log_head(stack: RunningStack) -> str:
    import httpx

    return httpx.get(f"{stack.url}/readyz", timeout=10).text
