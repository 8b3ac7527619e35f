"""Ctrl-C and a second start, before any other journey: what ends, and what is kept."""

from __future__ import annotations

import subprocess

import httpx

from tests.stack import RunningStack, launch, stop, wait_started


def test_ctrl_c_ends_every_process_and_a_second_start_keeps_the_data(stack: RunningStack) -> None:
    before = _signed(stack)
    assert stop(stack) == 0
    assert _processes_of(stack) == ""
    again = launch(stack.state, stack.port)
    stack.process = again.process
    wait_started(again)
    assert not any("Logins" in line for line in again.output), "passwords are shown once"
    assert _signed(stack) >= before > 100
    assert stack.browser("noor").get("/").status_code == 200


def _signed(stack: RunningStack) -> int:
    """The size of the newest checkpoint."""
    return int(httpx.get(f"{stack.url}/log/checkpoint", timeout=60).text.splitlines()[1])


def _processes_of(stack: RunningStack) -> str:
    """Command lines that name the stack's state folder."""
    return subprocess.run(["pgrep", "-af", str(stack.state)], capture_output=True, text=True, check=False).stdout
