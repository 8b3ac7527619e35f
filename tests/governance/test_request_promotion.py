"""Requesting, superseding, withdrawing, expiring."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotPermitted
from governance import promotions, tasks
from governance.models.decision import Outcome
from governance.models.promotion import Promotion, PromotionState
from registry import datasets, versions
from registry.lineage import edges
from tests.governance import scene
from tests.governance.scene import Bank


def test_a_request_is_decided_at_once_and_says_who_is_missing(bank: Bank) -> None:
    promotion = scene.request(bank)
    decision = scene.latest(promotion)
    assert (promotion.state, decision.outcome) == ("in_review", "pending")
    assert {each["role"] for each in decision.signoff["missing"]} == {"ml_lead", "compliance_officer"}
    assert promotion.subject_digest == decision.subject_digest
    said = [row.event for row in reversed(log.history(promotion.subject))]
    assert said == ["promotion.requested", "decision.recorded", "promotion.in_review"]


def test_a_request_that_the_residency_rule_denies_is_blocked_with_clause_path_and_remedy(bank: Bank) -> None:
    promotion = scene.request(bank, place=bank.frankfurt)
    decision = scene.latest(promotion)
    assert (promotion.state, decision.outcome) == ("blocked", "deny")
    failed = [each for each in decision.findings if each["outcome"] == "fail" and each["severity"] == "block"]
    assert {each["rule"] for each in failed} == {"AE-RES-001"}
    assert all(each["cites"] and each["remedy"] and each["who"] and each["path"] for each in failed)


def test_an_older_open_request_of_the_same_model_and_environment_is_superseded(bank: Bank) -> None:
    older = scene.request(bank, version=bank.old)
    newer = scene.request(bank)
    older.refresh_from_db()
    assert (older.state, newer.state) == ("superseded", "in_review")


def test_the_same_version_cannot_be_requested_twice_at_a_time(bank: Bank) -> None:
    scene.request(bank)
    with pytest.raises(Conflict) as refusal:
        scene.request(bank)
    assert refusal.value.code == "promotion.already_open"


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"strategy": "yolo"}, "why"),
        ({"strategy": "canary", "weight": 101}, "why"),
        ({"strategy": "canary"}, "why"),
        ({"weight": True}, "why"),
        ({}, " "),
    ],
)
def test_a_malformed_request_is_refused_and_nothing_is_stored(bank: Bank, plan: dict[str, object], reason: str) -> None:
    with pytest.raises(BadInput):
        promotions.request(bank.new, bank.uae, plan=plan, reason=reason, by=scene.actor("yusuf"))
    assert not Promotion.objects.exists()


def test_only_the_requester_withdraws(bank: Bank) -> None:
    promotion = scene.request(bank)
    with pytest.raises(NotPermitted) as refusal:
        promotions.withdraw(promotion.pk, reason="No.", by=scene.actor("layla"))
    assert refusal.value.code == "promotion.not_requester"
    promotions.withdraw(promotion.pk, reason="Found a bug.", by=scene.actor("yusuf"))
    promotion.refresh_from_db()
    assert promotion.state == "withdrawn"
    with pytest.raises(Conflict):
        promotions.withdraw(promotion.pk, reason="Again.", by=scene.actor("yusuf"))


def test_the_clock_expires_what_nobody_finished_and_never_approves_it(bank: Bank) -> None:
    promotion = promotions.request(
        bank.new, bank.uae, reason="Soon.", expires_at=timezone.now() + timedelta(seconds=0.2), by=scene.actor("yusuf")
    )
    while timezone.now() < promotion.expires_at:
        pass
    assert tasks.expire_promotions() == 1
    promotion.refresh_from_db()
    assert promotion.state == "expired"
    newest = log.history(promotion.subject)[0]
    assert (newest.event, newest.actor_id) == ("promotion.expired", "system:promotion-clock")
    assert tasks.expire_promotions() == 0


def test_the_state_is_approved_by_allow_alone() -> None:
    now = timezone.now()
    later = now + timedelta(days=1)
    states = {word: promotions.derived_state(word, expires_at=later, now=now) for word in [*Outcome.values, "", "yes"]}
    assert [word for word, state in states.items() if state == PromotionState.APPROVED] == ["allow"]
    assert states["pending"] == PromotionState.IN_REVIEW
    assert states["error"] == states["yes"] == states[""] == PromotionState.BLOCKED
    assert promotions.derived_state("allow", expires_at=now, now=now) == PromotionState.EXPIRED


def test_a_data_set_of_unknown_class_counts_as_personal_and_denies(bank: Bank) -> None:
    mystery = datasets.register_dataset(
        "mystery", classification="unknown", subjects=[], regions_held=["azure:uaenorth"], by=scene.SET_UP
    )
    edges.record_edge(mystery, bank.new, by=scene.SET_UP)
    promotion = scene.request(bank)
    decision = scene.latest(promotion)
    assert (promotion.state, decision.outcome) == ("blocked", "deny")
    flow = next(each for each in decision.facts["flows"] if each["subject"] == "dataset:mystery")
    assert flow["personal"]
    assert flow["sensitive"]
    assert flow["data_subjects"] == ["unknown"]


def test_a_version_without_any_lineage_is_denied_not_waved_through(bank: Bank) -> None:
    orphan = versions.register_version(
        bank.model, digest=scene.digest_of("orphan"), trained_by=["yusuf"], by=scene.SET_UP
    )
    assert scene.request(bank, version=orphan).state == "blocked"
