"""What tests of waivers share: the lab whose staging asks for a run on record, the gate's answer, the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from governance import decisions, gate, waivers
from governance.models.waiver import Waiver
from tests.governance import scene
from tests.governance.scene import Bank

Later = Callable[[timedelta], None]
RULE = "LAB-RUN-001"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Move the clock on."""
    truly = timezone.now

    def move(by: timedelta) -> None:
        monkeypatch.setattr(timezone, "now", lambda: truly() + by)

    return move


@pytest.fixture
def lab(bank: Bank) -> Bank:
    """The bank, whose staging asks for a run on record."""
    scene.enforced()
    return bank


def asked(bank: Bank, **change: Any) -> decisions.Verdict:
    """What the gate says about the candidate in staging."""
    given = {"version": bank.new, "environment": bank.staging, **change}
    return gate.check(given["version"], given["environment"], by=scene.actor("ci")).verdict


def about_runs(verdict: decisions.Verdict) -> Any:
    return next(each for each in verdict.findings if each["rule"] == RULE)


def approve(waiver: Waiver, by: str = "dana", **change: Any) -> Waiver:
    given: dict[str, Any] = {"reauthenticated_at": timezone.now(), **change}
    return waivers.approve(waiver.reference, reason="Read it.", by=scene.actor(by), **given)
