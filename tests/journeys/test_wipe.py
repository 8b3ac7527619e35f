"""What a wipe leaves behind. It comes after every other journey, since it takes the story away."""

from __future__ import annotations

import httpx
import pytest

from tests.stack import RunningStack


def test_a_wipe_removes_the_story_and_leaves_a_log_that_verifies(stack: RunningStack) -> None:
    wiped = stack.manage("demo", "--wipe")
    assert wiped.returncode == 0, wiped.stdout + wiped.stderr
    assert "verified" in wiped.stdout
    assert stack.manage("demo", "--check").returncode != 0
    with pytest.raises(AssertionError):
        stack.browser("omar")
    assert int(httpx.get(f"{stack.url}/log/checkpoint", timeout=60).text.splitlines()[1]) > 200
