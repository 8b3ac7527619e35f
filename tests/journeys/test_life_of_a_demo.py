"""A demo of its own from first start to wipe: what it leaves running, what it keeps, and what a wipe leaves behind."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.stack import RunningStack, launch, running_demo, stop, wait_started


@pytest.fixture(scope="module")
def own() -> Iterator[RunningStack]:
    """A stack that no other test shares: it is stopped and wiped."""
    with running_demo() as running:
        yield running


def processes_of(stack: RunningStack) -> str:
    """Command lines that name the stack's state folder."""
    return subprocess.run(["pgrep", "-af", str(stack.state)], capture_output=True, text=True, check=False).stdout


def test_ctrl_c_ends_every_process_and_a_second_start_keeps_the_data(own: RunningStack) -> None:
    before = int(httpx.get(f"{own.url}/log/checkpoint", timeout=60).text.splitlines()[1])
    assert stop(own) == 0
    assert processes_of(own) == ""
    again = launch(own.state, own.port)
    own.process = again.process
    wait_started(again)
    assert not any("Logins" in line for line in again.output), "passwords are shown once"
    assert int(httpx.get(f"{own.url}/log/checkpoint", timeout=60).text.splitlines()[1]) >= before
    assert own.browser("noor").get("/").status_code == 200


def test_a_wipe_removes_the_story_and_leaves_a_log_that_verifies(own: RunningStack) -> None:
    wiped = own.manage("demo", "--wipe")
    assert wiped.returncode == 0, wiped.stdout + wiped.stderr
    assert "verified" in wiped.stdout
    assert own.manage("demo", "--check").returncode != 0
    with pytest.raises(AssertionError):
        own.browser("omar")
    assert int(httpx.get(f"{own.url}/log/checkpoint", timeout=60).text.splitlines()[1]) > 200
