"""J1: one command, a printed password, one red and one amber item, and a story that can be proved."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.stack import RunningStack


def test_the_printed_password_signs_in_and_a_wrong_one_does_not(stack: RunningStack) -> None:
    page = stack.browser("omar").get("/")
    assert page.status_code == 200
    assert "Omar Nasser" in page.text
    stranger = replace(stack, passwords={"omar": "not-this-one-at-all"})
    with pytest.raises(AssertionError):
        stranger.browser("omar")


def test_the_red_item_opens_the_denied_promotion(stack: RunningStack) -> None:
    browser = stack.browser("omar")
    overview = browser.get("/").text
    assert "tone-critical" in overview
    assert "tone-caution" in overview
    numbers = re.findall(r'href="/promotions/(\d+)"', overview)
    pages = [browser.get(f"/promotions/{number}").text for number in dict.fromkeys(numbers)]
    denied = [page for page in pages if "dr-frankfurt" in page and "SA-RES-001" in page]
    assert denied, "no item of the overview opens the denied promotion"
    assert "SCC-2025-003" in denied[0], "the nearest safeguard is not named"


def test_the_story_can_be_checked(stack: RunningStack) -> None:
    checked = stack.manage("demo", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "NOT " not in checked.stdout


def test_health_names_each_part(stack: RunningStack) -> None:
    with stack.api() as api:
        ready = api.get(f"{stack.url}/readyz")
    assert ready.status_code == 200
    for part in ("database", "broker", "migrations", "log"):
        assert part in ready.text
