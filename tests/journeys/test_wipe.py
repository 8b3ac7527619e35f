"""What a wipe leaves behind. It comes after every other journey, since it takes the story away."""

from __future__ import annotations

import httpx
import pytest

from tests.stack import RunningStack


def test_a_wipe_removes_the_story_and_leaves_a_log_that_verifies(stack: RunningStack) -> None:
    with stack.api() as api:
        version = api.get("models/credit-scoring/versions").json()["results"][0]
    named = ["--version", str(version["number"]), "--digest", version["digest"]]
    asked = stack.cli("check", "--model", "credit-scoring", *named, "--environment", "prod-uae")
    assert "dec_" in asked.stdout, asked.stdout + asked.stderr
    refused = stack.manage("demo", "--wipe")
    assert refused.returncode != 0
    assert "records that came later refer to it" in refused.stderr
    assert "--with-later-records" in refused.stderr
    assert stack.browser("omar").get("/").status_code == 200, "nothing was removed"
    wiped = stack.manage("demo", "--wipe", "--with-later-records")
    assert wiped.returncode == 0, wiped.stdout + wiped.stderr
    assert "verified" in wiped.stdout
    assert stack.manage("demo", "--check").returncode != 0
    with pytest.raises(AssertionError):
        stack.browser("omar")
    assert int(httpx.get(f"{stack.url}/log/checkpoint", timeout=60).text.splitlines()[1]) > 200
