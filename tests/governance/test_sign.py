"""Signing: who may, what it binds to, what is refused and recorded."""

from __future__ import annotations

import pytest
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotPermitted, Refused
from governance import signoffs
from governance.models.signoff import SignOff
from registry import datasets
from tests.governance import scene
from tests.governance.scene import Bank

SIGNED = "signoff.given"
REFUSED = "signoff.refused"


def _events(promotion: object) -> list[str]:
    return [row.event for row in log.history(f"promotion:{promotion.pk}")]  # type: ignore[attr-defined]


def test_two_people_in_the_two_required_roles_approve_a_promotion(bank: Bank) -> None:
    promotion = scene.request(bank)
    assert promotion.state == "in_review"
    scene.sign(promotion, "layla", "ml_lead")
    promotion.refresh_from_db()
    assert promotion.state == "in_review"
    scene.sign(promotion, "omar", "compliance_officer")
    promotion.refresh_from_db()
    assert promotion.state == "approved"
    assert scene.latest(promotion).outcome == "allow"
    assert _events(promotion).count(SIGNED) == 2


def test_the_requester_cannot_sign_and_the_attempt_is_in_the_log(bank: Bank) -> None:
    promotion = scene.request(bank, by="layla")
    with pytest.raises(NotPermitted) as refusal:
        scene.sign(promotion, "layla", "ml_lead")
    assert refusal.value.code == "signoff.requester"
    refused = log.history(promotion.subject)[0]
    assert (refused.event, refused.actor_id) == (REFUSED, scene.actor("layla").id)
    assert refused.facts["rule"] == "signoff.requester"
    assert not SignOff.objects.exists()
