"""What tests of emergencies share: who declares, confirms and reviews, and the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from governance import emergency, emergency_review, gate
from governance.models.emergency import Emergency
from tests.governance import scene
from tests.governance.scene import Bank

Later = Callable[[timedelta], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Move the clock on."""
    truly = timezone.now

    def move(by: timedelta) -> None:
        monkeypatch.setattr(timezone, "now", lambda: truly() + by)

    return move


def declare(bank: Bank, by: str = "layla", **change: Any) -> Emergency:
    """Layla declares that the candidate must go to production."""
    given: dict[str, Any] = {
        "incident": "INC-204",
        "reason": "The serving version refuses everybody over sixty.",
        "hours": 4,
        "reauthenticated_at": timezone.now(),
        "by": scene.actor(by),
        **change,
    }
    version, place = given.pop("version", bank.new), given.pop("environment", bank.uae)
    return emergency.declare(version, place, **given)


def confirm(row: Emergency, by: str = "sami") -> Emergency:
    """Sami, who operates, confirms."""
    return emergency.confirm(row.reference, reauthenticated_at=timezone.now(), by=scene.actor(by))


def running(bank: Bank, **change: Any) -> Emergency:
    """An emergency of the candidate in production, by two people."""
    return confirm(declare(bank, **change))


def review(row: Emergency, by: str = "omar", *, ratified: bool = True, reason: str = "It was right.") -> Emergency:
    """Omar, compliance, looks at it."""
    return emergency_review.review(
        row.reference, ratified=ratified, reason=reason, reauthenticated_at=timezone.now(), by=scene.actor(by)
    )


def asked(bank: Bank, **change: Any) -> gate.Answer:
    """What the gate says about the candidate in production."""
    given = {"version": bank.new, "environment": bank.uae, **change}
    return gate.check(given["version"], given["environment"], by=scene.actor("ci"))
