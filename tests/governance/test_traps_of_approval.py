"""Traps about approvals that others fell into: traffic is recorded as serving before, or without, its approval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from governance import gate
from governance.models import Permit
from registry.models import Deployment
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.test_attest_permits import allowed

Api = Callable[[str], Client]


def recorded(client: Client, **body: str) -> Any:
    return client.post("/api/v1/deployments", body, content_type="application/json")


def test_nothing_is_recorded_as_serving_while_its_approval_waits(bank: Bank, api_for: Api) -> None:
    """Neither without a permit nor with the permit of something else that is allowed."""
    scene.request(bank)
    pending = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    assert pending.verdict.outcome == "pending"
    assert pending.permit is None
    assert pending.decision is not None
    other, ci = allowed(bank), api_for("ci")
    asked = {"decision_id": pending.decision.public_id, "environment": "prod-uae"}
    assert recorded(ci, **asked).status_code == 400
    assert recorded(ci, **asked, permit="").status_code == 400
    stolen = recorded(ci, **asked, permit=other.secret)
    assert (stolen.status_code, stolen.json()["code"]) == (403, "permit.unknown")
    assert not Deployment.objects.exists()
    assert Permit.objects.get().consumed_at is None, "what was refused used nothing up"


@pytest.mark.parametrize("outcome", ["pending", "deny"])
def test_no_decision_but_an_explicit_allow_carries_a_permit(bank: Bank, outcome: str) -> None:
    place = {"pending": bank.uae, "deny": bank.frankfurt}[outcome]
    answer = gate.check(bank.new, place, by=scene.actor("ci"))
    assert answer.verdict.outcome == outcome
    assert (answer.permit, answer.secret) == (None, "")
    assert not Permit.objects.exists()
