"""Signing: who may, what it binds to, what is refused and recorded."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotPermitted, Refused
from governance import accounts, gate, promotions, rollouts, signoffs
from governance.models.promotion import Promotion
from governance.models.signoff import SignOff
from registry import datasets, environments
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank


def _refused(promotion: Promotion, name: str, code: str) -> None:
    """The newest entry about the promotion is that person's refused attempt, with the rule that refused it."""
    newest = next(row for row in log.history(promotion.subject) if row.event.startswith("signoff."))
    assert (newest.event, newest.actor_id, newest.facts["rule"]) == ("signoff.refused", scene.actor(name).id, code)


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


def test_a_signature_stores_what_was_said_of_what_and_when_the_signer_proved_who_they_are(bank: Bank) -> None:
    promotion = scene.request(bank)
    row = scene.sign(promotion, "layla", "ml_lead")
    assert row.signer == scene.actor("layla").id
    assert row.subject_digest == promotion.subject_digest
    assert row.subject_digest in row.statement
    assert row.decision_seen == scene.latest(promotion) or row.decision_seen.promotion_id == promotion.pk
    assert timedelta() <= row.signed_at - row.reauth_at < timedelta(minutes=5)


def test_the_requester_cannot_sign_and_the_attempt_is_in_the_log(bank: Bank) -> None:
    promotion = scene.request(bank, by="layla")
    with pytest.raises(NotPermitted) as refusal:
        scene.sign(promotion, "layla", "ml_lead")
    assert refusal.value.code == "signoff.requester"
    _refused(promotion, "layla", "signoff.requester")
    assert not SignOff.objects.exists()


def test_whoever_trained_the_version_cannot_sign_it_whatever_roles_they_hold(bank: Bank) -> None:
    accounts.grant_role(personas.get("yusuf"), "ml_lead", by=scene.SET_UP)
    promotion = scene.request(bank, by="layla")
    with pytest.raises(NotPermitted) as refusal:
        scene.sign(promotion, "yusuf", "ml_lead")
    assert refusal.value.code == "signoff.contributor"
    _refused(promotion, "yusuf", "signoff.contributor")


def test_an_administrator_cannot_sign_in_a_role_that_they_do_not_hold(bank: Bank) -> None:
    promotion = scene.request(bank)
    for role in ("ml_lead", "compliance_officer", "administrator"):
        with pytest.raises(NotPermitted) as refusal:
            scene.sign(promotion, "amir", role)
        assert refusal.value.code == "signoff.role"
    _refused(promotion, "amir", "signoff.role")


def test_one_person_with_both_roles_counts_once(bank: Bank) -> None:
    accounts.grant_role(personas.get("layla"), "compliance_officer", by=scene.SET_UP)
    promotion = scene.request(bank)
    scene.sign(promotion, "layla", "ml_lead")
    with pytest.raises(Conflict) as refusal:
        scene.sign(promotion, "layla", "compliance_officer")
    assert refusal.value.code == "signoff.already_signed"
    promotion.refresh_from_db()
    assert promotion.state == "in_review"
    assert scene.latest(promotion).outcome == "pending"


def test_a_machine_cannot_sign(bank: Bank) -> None:
    promotion = scene.request(bank)
    with pytest.raises(NotPermitted) as refusal:
        scene.sign(promotion, "ci", "ml_lead")
    assert refusal.value.code == "signoff.not_a_person"


def test_a_signature_needs_the_password_again_within_five_minutes(bank: Bank) -> None:
    promotion = scene.request(bank)
    for proven in (None, timezone.now() - timedelta(minutes=6), timezone.now() + timedelta(minutes=1)):
        with pytest.raises(NotPermitted) as refusal:
            signoffs.sign(
                promotion.pk,
                meaning="approve",
                comment="Checked.",
                role="ml_lead",
                subject_digest_seen=promotion.subject_digest,
                reauthenticated_at=proven,
                by=scene.actor("layla"),
            )
        assert refusal.value.code == "signoff.not_reauthenticated"
    _refused(promotion, "layla", "signoff.not_reauthenticated")


def test_approving_something_other_than_what_was_shown_is_refused(bank: Bank) -> None:
    promotion = scene.request(bank)
    with pytest.raises(Conflict) as refusal:
        scene.sign(promotion, "layla", "ml_lead", seen=scene.digest_of("something else"))
    assert refusal.value.code == "signoff.stale_subject"
    _refused(promotion, "layla", "signoff.stale_subject")
    assert not SignOff.objects.exists()


def test_a_subject_that_changed_while_it_was_read_opens_a_new_round_instead_of_being_signed(bank: Bank) -> None:
    promotion = scene.request(bank)
    shown = promotion.subject_digest
    scene.sign(promotion, "layla", "ml_lead")
    environments.change_environment(bank.uae, log_sinks=["aws:me-central-1"], by=scene.SET_UP)
    with pytest.raises(Conflict):
        scene.sign(promotion, "omar", "compliance_officer", seen=shown)
    promotion.refresh_from_db()
    assert promotion.round == 2
    assert promotion.state == "in_review"
    assert promotion.subject_digest != shown
    opened = next(row for row in log.history(promotion.subject) if row.event == "promotion.in_review")
    assert "target" in opened.facts["changed"]
    missing = {each["role"] for each in scene.latest(promotion).signoff["missing"]}
    assert missing == {"ml_lead", "compliance_officer"}, "the signature of round 1 counts for nothing"
    assert promotion.signoffs.get().round == 1, "and stays readable"


def test_a_signature_stays_void_when_the_subject_comes_back(bank: Bank) -> None:
    promotion = scene.approved(bank)
    signed = promotion.subject_digest
    permitted = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    sinks = list(bank.uae.log_sinks)
    for each in (["aws:me-central-1"], sinks):
        environments.change_environment(bank.uae, log_sinks=each, by=scene.SET_UP)
        bank.uae.refresh_from_db()
        promotions.refresh(promotion.pk, by=scene.actor("sami"))
    promotion.refresh_from_db()
    assert promotion.subject_digest == signed
    assert (promotion.state, promotion.round) == ("in_review", 3)
    assert permitted.decision is not None
    with pytest.raises(Conflict) as refusal:
        rollouts.record_deploy(
            permitted.decision.public_id, secret=permitted.secret, environment="prod-uae", by=scene.actor("ci")
        )
    assert refusal.value.code == "permit.promotion_closed"
    scene.sign(promotion, "layla", "ml_lead")
    scene.sign(promotion, "omar", "compliance_officer")
    promotion.refresh_from_db()
    assert promotion.state == "approved"


def test_the_same_people_may_sign_again_in_the_new_round(bank: Bank) -> None:
    promotion = scene.approved(bank)
    datasets.state_dataset(
        bank.loans, {"classification": "sensitive"}, may_confirm=lambda: None, reason="Assessed again.", by=scene.SET_UP
    )
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    promotion.refresh_from_db()
    assert (promotion.state, promotion.round) == ("in_review", 2)
    scene.sign(promotion, "layla", "ml_lead")
    scene.sign(promotion, "omar", "compliance_officer")
    promotion.refresh_from_db()
    assert promotion.state == "approved"
    assert promotion.signoffs.count() == 4


def test_nobody_can_approve_what_the_rules_deny_but_may_reject_it(bank: Bank) -> None:
    promotion = scene.request(bank, place=bank.frankfurt)
    assert promotion.state == "blocked"
    with pytest.raises(Refused) as refusal:
        scene.sign(promotion, "layla", "ml_lead")
    assert refusal.value.code == "signoff.blocked"
    assert refusal.value.reasons
    scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    promotion.refresh_from_db()
    assert promotion.state == "rejected"


def test_a_rejection_by_one_eligible_person_ends_the_promotion(bank: Bank) -> None:
    promotion = scene.request(bank)
    scene.sign(promotion, "layla", "ml_lead")
    scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    promotion.refresh_from_db()
    assert promotion.state == "rejected"
    with pytest.raises(Conflict) as refusal:
        scene.sign(promotion, "jonas", "ml_lead")
    assert refusal.value.code == "promotion.closed"


def test_a_signature_without_a_comment_is_malformed_and_leaves_no_trace(bank: Bank) -> None:
    promotion = scene.request(bank)
    before = len(log.history(promotion.subject))
    with pytest.raises(BadInput) as refusal:
        signoffs.sign(
            promotion.pk,
            meaning="approve",
            comment="  ",
            role="ml_lead",
            subject_digest_seen=promotion.subject_digest,
            reauthenticated_at=timezone.now(),
            by=scene.actor("layla"),
        )
    assert set(refusal.value.fields) == {"comment"}
    assert len(log.history(promotion.subject)) == before


def test_a_signer_who_loses_the_role_no_longer_counts(bank: Bank) -> None:
    promotion = scene.approved(bank)
    accounts.revoke_role(personas.get("layla"), "ml_lead", by=scene.SET_UP)
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    promotion.refresh_from_db()
    assert promotion.state == "in_review"
