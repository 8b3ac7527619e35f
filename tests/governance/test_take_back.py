"""Taking a signature back: who may, what follows, and what it can never lead to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refusal
from governance import (
    accounts,
    decisions,
    gate,
    packs,
    policies,
    promotions,
    retracting,
    rollouts,
    sessions,
    signoffs,
)
from governance.models.promotion import Promotion
from governance.models.signoff import Retraction
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank


def _state(promotion: Promotion) -> str:
    promotion.refresh_from_db()
    return promotion.state


def _refused(promotion: Promotion, name: str, code: str) -> None:
    newest = next(row for row in log.history(promotion.subject) if row.event.startswith("signoff."))
    assert (newest.event, newest.actor_id, newest.facts["rule"]) == ("signoff.refused", scene.actor(name).id, code)


def test_who_signed_revokes_and_the_approved_promotion_waits_again(bank: Bank) -> None:
    promotion = scene.request(bank)
    row = scene.sign(promotion, "layla", "ml_lead")
    scene.sign(promotion, "omar", "compliance_officer")
    permitted = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    scene.take_back(promotion, "layla", row)
    assert _state(promotion) == "in_review"
    latest = scene.latest(promotion)
    assert (latest.outcome, [each["role"] for each in latest.signoff["missing"]]) == ("pending", ["ml_lead"])
    assert [each["why"] for each in latest.signoff["ignored"]] == ["revoked"]
    told = [each.event for each in log.history(promotion.subject)]
    assert told[:3] == ["promotion.in_review", "decision.recorded", "signoff.revoked"]
    assert permitted.decision is not None
    with pytest.raises(Refusal):
        rollouts.record_deploy(
            permitted.decision.public_id, secret=permitted.secret, environment="prod-uae", by=scene.actor("ci")
        )
    row.refresh_from_db()
    assert row.comment == "Checked the calibration curve.", "the signature itself stays as it was given"


def test_whoever_revoked_may_sign_again_and_once(bank: Bank) -> None:
    promotion = scene.request(bank)
    first = scene.sign(promotion, "layla", "ml_lead")
    scene.take_back(promotion, "layla", first)
    second = scene.sign(promotion, "layla", "ml_lead")
    assert second.replaces == first
    with pytest.raises(Conflict) as refusal:
        scene.sign(promotion, "layla", "ml_lead")
    assert refusal.value.code == "signoff.already_signed"
    scene.sign(promotion, "omar", "compliance_officer")
    assert _state(promotion) == "approved"


def test_whoever_revoked_may_reject(bank: Bank) -> None:
    promotion = scene.request(bank)
    scene.take_back(promotion, "layla", scene.sign(promotion, "layla", "ml_lead"))
    scene.sign(promotion, "layla", "ml_lead", meaning="reject")
    assert _state(promotion) == "rejected"


def test_a_policy_owner_revokes_and_losing_the_role_afterwards_revives_nothing(bank: Bank) -> None:
    promotion = scene.approved(bank)
    row = promotion.signoffs.get(role="ml_lead")
    assert scene.take_back(promotion, "dana", row).as_owner
    accounts.revoke_role(personas.get("dana"), "dpo", by=scene.SET_UP)
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    assert _state(promotion) == "in_review"


@pytest.mark.parametrize("name", ["jonas", "yusuf", "amir", "sami"])
def test_nobody_else_takes_a_signature_back_and_the_attempt_is_recorded(bank: Bank, name: str) -> None:
    promotion = scene.approved(bank)
    with pytest.raises(NotPermitted) as refusal:
        scene.take_back(promotion, name, promotion.signoffs.get(role="ml_lead"))
    assert refusal.value.code == "signoff.not_yours"
    _refused(promotion, name, "signoff.not_yours")
    assert _state(promotion) == "approved"


def test_a_policy_owner_who_requested_it_takes_nothing_back(bank: Bank) -> None:
    accounts.grant_role(personas.get("yusuf"), "dpo", by=scene.SET_UP)
    promotion = scene.request(bank, by="layla")
    row = scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    for name in ("yusuf", "layla"):
        with pytest.raises(NotPermitted):
            scene.take_back(promotion, name, row, reopen=True)
    assert _state(promotion) == "rejected"


def test_it_needs_the_password_again_a_reason_and_a_signature_that_stands(bank: Bank) -> None:
    promotion = scene.request(bank)
    row = scene.sign(promotion, "layla", "ml_lead")
    by = scene.actor("layla")
    for proven in (None, timezone.now() - timedelta(minutes=6)):
        with pytest.raises(NotPermitted) as refusal:
            retracting.revoke(promotion.pk, row.pk, reason="Wrong run.", reauthenticated_at=proven, by=by)
        assert refusal.value.code == "signoff.not_reauthenticated"
    _refused(promotion, "layla", "signoff.not_reauthenticated")
    with pytest.raises(BadInput):
        retracting.revoke(promotion.pk, row.pk, reason=" ", reauthenticated_at=timezone.now(), by=by)
    with pytest.raises(NotKnown):
        retracting.revoke(promotion.pk, row.pk + 999, reason="No.", reauthenticated_at=timezone.now(), by=by)
    with pytest.raises(Conflict) as other:
        scene.take_back(promotion, "layla", row, reopen=True)
    assert other.value.code == "signoff.not_rejected"
    scene.take_back(promotion, "layla", row)
    with pytest.raises(Conflict) as again:
        scene.take_back(promotion, "layla", row)
    assert again.value.code == "signoff.taken_back"


def test_a_reopened_rejection_brings_the_promotion_back_through_the_decision_alone(bank: Bank) -> None:
    promotion = scene.request(bank)
    scene.sign(promotion, "layla", "ml_lead")
    row = scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    assert _state(promotion) == "rejected"
    scene.take_back(promotion, "omar", row, reopen=True)
    assert _state(promotion) == "in_review"
    assert [each["role"] for each in scene.latest(promotion).signoff["missing"]] == ["compliance_officer"]
    told = [each.event for each in log.history(promotion.subject)][:3]
    assert told == ["decision.recorded", "promotion.in_review", "signoff.reopened"]
    scene.sign(promotion, "omar", "compliance_officer")
    assert _state(promotion) == "approved"


def test_the_owner_who_reopened_loses_the_role_and_the_veto_stands_again(bank: Bank) -> None:
    promotion = scene.request(bank)
    scene.sign(promotion, "layla", "ml_lead")
    row = scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    scene.take_back(promotion, "dana", row, reopen=True)
    accounts.revoke_role(personas.get("dana"), "dpo", by=scene.SET_UP)
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    assert (_state(promotion), scene.latest(promotion).signoff["state"]) == ("blocked", "rejected")


def test_what_was_rejected_stays_so_once_another_was_requested_or_its_time_is_over(bank: Bank) -> None:
    promotion = scene.request(bank)
    row = scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    newer = scene.request(bank)
    with pytest.raises(Conflict) as refusal:
        scene.take_back(promotion, "omar", row, reopen=True)
    assert refusal.value.code == "promotion.newer"
    _refused(promotion, "omar", "promotion.newer")
    assert (_state(promotion), _state(newer)) == ("rejected", "in_review")


def test_no_row_of_a_retraction_changes_or_appears_without_an_entry(bank: Bank) -> None:
    promotion = scene.request(bank)
    row = scene.sign(promotion, "layla", "ml_lead")
    made = scene.take_back(promotion, "layla", row)
    with pytest.raises(DatabaseError), transaction.atomic():
        Retraction.objects.filter(pk=made.pk).update(retracted_by=scene.actor("omar").id)


def test_a_refusal_without_a_veto_is_recorded_and_the_rest_goes_on(bank: Bank) -> None:
    scene.signed_in_staging("veto: [compliance_officer]")
    promotion = scene.request(bank, place=bank.staging)
    scene.sign(promotion, "layla", "ml_lead", meaning="reject")
    assert _state(promotion) == "in_review"
    scene.sign(promotion, "jonas", "ml_lead")
    scene.sign(promotion, "omar", "compliance_officer")
    assert _state(promotion) == "approved"


def test_whoever_signs_later_waits_for_their_turn_but_may_reject(bank: Bank) -> None:
    scene.signed_in_staging("order: [ml_lead, compliance_officer]")
    promotion = scene.request(bank, place=bank.staging)
    with pytest.raises(Conflict) as refusal:
        scene.sign(promotion, "omar", "compliance_officer")
    assert refusal.value.code == "signoff.turn"
    _refused(promotion, "omar", "signoff.turn")
    first = scene.sign(promotion, "layla", "ml_lead")
    scene.sign(promotion, "omar", "compliance_officer")
    assert _state(promotion) == "approved"
    scene.take_back(promotion, "layla", first)
    scene.sign(promotion, "jonas", "ml_lead")
    latest = scene.latest(promotion)
    assert [each["why"] for each in latest.signoff["ignored"]] == ["revoked", "out_of_turn"]
    assert _state(promotion) == "in_review", "who signed on somebody's word that was taken back looks again"


def test_a_rule_that_wants_two_factors_is_not_met_by_one(bank: Bank) -> None:
    text = scene.SIGNED_IN_STAGING.replace("max_age_s: 300", "max_age_s: 300, factors: 2")
    scene.in_force(packs.draft(text.format(more="order: any"), by=scene.actor("omar")))
    promotion = scene.request(bank, place=bank.staging)
    for name, role in (("layla", "ml_lead"), ("omar", "compliance_officer")):
        with pytest.raises(NotPermitted) as refused:
            scene.sign(promotion, name, role)
        assert refused.value.code == "signoff.factors"
    assert _state(promotion) == "in_review"
    both = sessions.Proof(timezone.now(), ("password", "totp"))
    for name, role in (("layla", "ml_lead"), ("omar", "compliance_officer")):
        scene.sign(promotion, name, role, proof=both)
    assert _state(promotion) == "approved"


def test_what_was_signed_with_one_factor_stops_counting_when_the_rule_asks_for_two(bank: Bank) -> None:
    promotion = scene.request(bank, place=bank.staging)
    text = scene.SIGNED_IN_STAGING.replace("max_age_s: 300", "max_age_s: 300, factors: 2")
    scene.in_force(packs.draft(text.format(more="order: any"), by=scene.actor("omar")))
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    collected = decisions.evaluate(decisions.case_of(promotion)).collected
    assert collected is not None
    now = collected.facts.now
    one = policies.SignOffEvent(
        *("1", "approved", scene.actor("layla").id, "ml_lead", collected.subject_digest, now, now), factors=1
    )
    people = replace(collected.people, roles={one.by: frozenset({"ml_lead"})})
    state = policies.signoff_state(collected.packs, collected.facts, [one], people, collected.subject_digest)
    assert [each.why for each in state.ignored] == ["factors"]


def test_the_clock_steps_back_and_what_was_taken_back_stays_so(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    promotion = scene.approved(bank)
    row = promotion.signoffs.get(role="ml_lead")
    by, truly = scene.actor("layla"), timezone.now
    monkeypatch.setattr(timezone, "now", lambda: truly() - timedelta(hours=3))
    retracting.revoke(promotion.pk, row.pk, reason="Wrong run.", reauthenticated_at=timezone.now(), by=by)
    monkeypatch.undo()
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    assert _state(promotion) == "in_review"


def test_an_approver_who_lost_the_role_between_the_page_and_the_click_signs_nothing(bank: Bank) -> None:
    promotion = scene.request(bank)
    shown, layla = promotion.subject_digest, scene.actor("layla")
    accounts.revoke_role(personas.get("layla"), "ml_lead", by=scene.SET_UP)
    with pytest.raises(NotPermitted) as refusal:
        signoffs.sign(
            promotion.pk,
            meaning="approve",
            comment="Checked.",
            role="ml_lead",
            subject_digest_seen=shown,
            reauthenticated_at=timezone.now(),
            by=layla,  # whose roles were read when the page was shown
        )
    assert refusal.value.code == "signoff.role"
    assert not promotion.signoffs.exists()
