"""An allow ends; clocks differ a little."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.gate import CLI, allowed

sys.path.insert(0, str(CLI))

from countersign.answers import understand
from countersign.exits import Exit, Stop

END = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ASKED: dict[str, Any] = {"model": {}, "environment": "prod-uae", "action": "promote", "mode": "enforce"}


@pytest.mark.parametrize("late", [timedelta(hours=-1), timedelta(0), timedelta(minutes=4, seconds=59)])
def test_an_allow_counts_until_its_end_and_five_minutes_for_the_clocks(late: timedelta) -> None:
    answer = understand(allowed(valid_until="2026-11-22T10:00:00Z"), ASKED, clock=lambda: END + late)
    assert answer.code == Exit.ALLOW


def test_an_allow_that_ended_five_minutes_ago_cannot_be_used() -> None:
    with pytest.raises(Stop) as stopped:
        understand(allowed(valid_until="2026-11-22T10:00:00Z"), ASKED, clock=lambda: END + timedelta(minutes=5))
    assert stopped.value.code == Exit.UNDECIDED
    assert "fresh key" in stopped.value.sentence


def test_a_denial_needs_no_end() -> None:
    assert understand(allowed(decision="deny", valid_until=None), ASKED).code == Exit.DENIED
