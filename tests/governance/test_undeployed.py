"""What was allowed and never deployed becomes a finding, and stops being one when it is deployed or overtaken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from governance import gate, promotions, rollouts
from governance import undeployed as undeployed_facts
from governance.models.decision import Decision
from governance.models.permit import Permit
from governance.undeployed import undeployed
from registry import deployments
from registry.models import Finding
from registry.reconciling import observing
from registry.reconciling.run import reconcile
from tests.governance import scene
from tests.governance.scene import Bank

pytestmark = pytest.mark.django_db


def told() -> list[tuple[str, str, str]]:
    return [(each.what, each.version, each.environment) for each in undeployed()]


Later = Callable[[int], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """``later(30)``: for the reconciler and what it asks, it is thirty hours later. Permits cannot be rewritten."""
    real = timezone.now

    def moved(hours: int) -> None:
        class Clock:
            @staticmethod
            def now() -> datetime:
                return real() + timedelta(hours=hours)

        monkeypatch.setattr(undeployed_facts, "timezone", Clock)
        monkeypatch.setattr(observing, "timezone", Clock)

    return moved


def test_an_approved_promotion_waits_for_its_deployment(bank: Bank, later: Later) -> None:
    promotion = scene.approved(bank)
    assert told() == [("promotion", bank.new.subject, "prod-uae")]
    (approval,) = undeployed()
    assert approval.subject == promotion.subject
    assert approval.since == Decision.objects.get(pk=promotion.decided_by_id).decided_at
    answer = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    later(30)
    assert [what for what, _version, _place in told()] == ["promotion"], "its unused permit is the same fact"
    assert answer.decision is not None
    promotions.withdraw(promotion.pk, reason="Not needed.", by=scene.actor("yusuf"))
    assert "promotion" not in [what for what, _version, _place in told()]


def test_a_permit_that_ran_out_unused_is_told_once_for_its_version_and_place(bank: Bank, later: Later) -> None:
    for _again in range(2):
        assert gate.check(bank.new, bank.staging, by=scene.actor("ci")).secret
    assert told() == [], "it may still be used"
    later(30)
    assert told() == [("permit", bank.new.subject, "staging")]
    deployments.record_deploy(bank.staging, bank.old, by=scene.SET_UP)
    assert told() == [], "another version was deployed since"


def test_asking_about_what_serves_already_is_no_finding(bank: Bank, later: Later) -> None:
    deployments.record_deploy(bank.staging, bank.new, by=scene.SET_UP)
    gate.check(bank.new, bank.staging, by=scene.actor("ci"))
    later(30)
    assert told() == []


def test_a_permit_that_was_used_without_a_deployment_is_told(bank: Bank) -> None:
    answer = gate.check(bank.new, bank.staging, by=scene.actor("ci"))
    assert answer.decision is not None
    rollouts.record_deploy(answer.decision.public_id, secret=answer.secret, environment="staging", by=scene.actor("ci"))
    assert told() == []
    again = gate.check(bank.old, bank.staging, by=scene.actor("ci"))
    assert again.decision is not None
    Permit.objects.filter(decision=again.decision).update(consumed_at=timezone.now(), consumed_by="service:x")
    assert told() == [("permit_used", bank.old.subject, "staging")]


def test_the_reconciler_asks_and_says_what_was_never_deployed(bank: Bank, later: Later) -> None:
    gate.check(bank.new, bank.staging, by=scene.actor("ci"))
    later(20)
    reconcile(by=scene.SET_UP)
    assert not Finding.objects.exists(), "within its grace"
    later(30)
    reconcile(by=scene.SET_UP)
    finding = Finding.objects.get()
    assert (finding.kind, finding.concerns, finding.environment) == ("never_deployed", bank.new.subject, "staging")
    deployments.record_deploy(bank.staging, bank.new, by=scene.SET_UP)
    assert reconcile(by=scene.SET_UP).gone == 1
