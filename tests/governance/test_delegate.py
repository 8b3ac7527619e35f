"""Signing in somebody's place: who may delegate to whom, what a delegate's signature is worth, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotPermitted
from governance import accounts, delegations, promotions, replay
from governance.models.delegation import Delegation
from governance.models.promotion import Promotion
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank


@pytest.fixture
def staging(bank: Bank) -> Bank:
    """The bank with a rule for staging that lets people delegate."""
    scene.signed_in_staging()
    return bank


def _state(promotion: Promotion) -> str:
    promotion.refresh_from_db()
    return promotion.state


def _cannot(promotion: Promotion, name: str, role: str, lent: str, code: str) -> None:
    with pytest.raises((NotPermitted, Conflict)) as refusal:
        scene.sign(promotion, name, role, lent=lent)
    assert refusal.value.code == code
    newest = next(row for row in log.history(promotion.subject) if row.event.startswith("signoff."))
    assert (newest.event, newest.facts["rule"]) == ("signoff.refused", code)


def test_a_delegate_fills_the_slot_of_who_delegated(staging: Bank) -> None:
    row = scene.lend("layla", "ml_lead", "dana")
    promotion = scene.request(staging, place=staging.staging)
    signed = scene.sign(promotion, "dana", "ml_lead", lent=row.reference)
    scene.sign(promotion, "omar", "compliance_officer")
    assert _state(promotion) == "approved"
    assert signed.delegation == row
    filled = scene.latest(promotion).signoff["filled"]
    assert filled[0]["by"] == scene.actor("dana").id
    assert filled[0]["owner"] == scene.actor("layla").id
    told = log.history(promotion.subject)
    given = next(each for each in told if each.event == "signoff.given" and "delegation" in each.facts)
    assert given.facts["on_behalf_of"] == scene.actor("layla").id
    assert replay.replay(scene.latest(promotion), by=scene.actor("noor")).same


def test_one_person_stands_behind_one_slot_as_delegate_or_as_who_delegated(staging: Bank) -> None:
    accounts.grant_role(personas.get("layla"), "compliance_officer", by=scene.SET_UP)
    row = scene.lend("layla", "ml_lead", "omar")
    promotion = scene.request(staging, place=staging.staging)
    scene.sign(promotion, "omar", "ml_lead", lent=row.reference)
    _cannot(promotion, "omar", "compliance_officer", "", "signoff.already_signed")
    _cannot(promotion, "layla", "compliance_officer", "", "signoff.delegate_signed")
    assert _state(promotion) == "in_review"


def test_neither_the_requester_nor_a_contributor_signs_through_a_delegate_or_as_one(staging: Bank) -> None:
    accounts.grant_role(personas.get("yusuf"), "ml_lead", by=scene.SET_UP)  # yusuf trained the version
    by_maker = scene.lend("yusuf", "ml_lead", "jonas")
    to_requester = scene.lend("omar", "compliance_officer", "layla")
    to_maker = scene.lend("omar", "compliance_officer", "yusuf")
    promotion = scene.request(staging, place=staging.staging, by="layla")
    by_requester = scene.lend("layla", "ml_lead", "dana")
    _cannot(promotion, "jonas", "ml_lead", by_maker.reference, "signoff.delegation")
    _cannot(promotion, "dana", "ml_lead", by_requester.reference, "signoff.delegation")
    _cannot(promotion, "layla", "compliance_officer", to_requester.reference, "signoff.requester")
    _cannot(promotion, "yusuf", "compliance_officer", to_maker.reference, "signoff.contributor")


def test_what_was_delegated_cannot_be_passed_on(staging: Bank) -> None:
    scene.lend("layla", "ml_lead", "dana")
    with pytest.raises(NotPermitted) as refusal:
        scene.lend("dana", "ml_lead", "omar")
    assert refusal.value.code == "delegation.role_not_held"


def test_a_rule_that_says_nothing_of_delegation_and_one_that_allows_less_refuse_it(staging: Bank) -> None:
    row = scene.lend("layla", "ml_lead", "dana")
    _cannot(scene.request(staging), "dana", "ml_lead", row.reference, "signoff.delegation")
    long = scene.lend("layla", "ml_lead", "dana", days=60)
    _cannot(scene.request(staging, place=staging.staging), "dana", "ml_lead", long.reference, "signoff.delegation")


def test_it_lets_nobody_sign_after_its_end_before_its_start_or_for_another_person(staging: Bank) -> None:
    promotion = scene.request(staging, place=staging.staging)
    over = scene.lend("layla", "ml_lead", "dana")
    delegations.end(over.reference, reason="Back at work.", by=scene.actor("layla"))
    later = scene.lend("layla", "ml_lead", "dana", starts_at=timezone.now() + timedelta(days=1))
    for name, lent in (("dana", over), ("dana", later), ("omar", scene.lend("layla", "ml_lead", "dana"))):
        _cannot(promotion, name, "ml_lead", lent.reference, "signoff.delegation")
    _cannot(promotion, "dana", "ml_lead", "DG-2026-9999", "signoff.delegation")


def test_what_was_signed_stays_when_the_delegation_ends_and_goes_when_the_role_is_lost(staging: Bank) -> None:
    row = scene.lend("layla", "ml_lead", "dana")
    promotion = scene.request(staging, place=staging.staging)
    scene.sign(promotion, "dana", "ml_lead", lent=row.reference)
    scene.sign(promotion, "omar", "compliance_officer")
    delegations.end(row.reference, reason="Back at work.", by=scene.actor("dana"))
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    assert _state(promotion) == "approved"
    accounts.revoke_role(personas.get("layla"), "ml_lead", by=scene.SET_UP)
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    assert _state(promotion) == "in_review"
    assert scene.latest(promotion).signoff["ignored"][0]["why"] == "role_lost"


@pytest.mark.parametrize(
    ("name", "role", "to", "code"),
    [
        ("layla", "dpo", "dana", "delegation.role_not_held"),
        ("layla", "ml_lead", "layla", "delegation.self"),
        ("layla", "ml_lead", "sami", "delegation.may_not_sign"),
        ("ci", "ml_lead", "dana", "delegation.not_a_person"),
    ],
)
def test_who_cannot_delegate_is_told_why_and_the_attempt_is_recorded(
    staging: Bank, name: str, role: str, to: str, code: str
) -> None:
    with pytest.raises(NotPermitted) as refusal:
        scene.lend(name, role, to)
    assert refusal.value.code == code
    newest = log.history(scene.actor(name).id)[0]
    assert (newest.event, newest.facts["rule"]) == ("delegation.refused", code)


def test_it_needs_the_password_again(staging: Bank) -> None:
    with pytest.raises(NotPermitted) as refusal:
        scene.lend("layla", "ml_lead", "dana", reauthenticated_at=timezone.now() - timedelta(minutes=6))
    assert refusal.value.code == "delegation.not_reauthenticated"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"days": -1}, "ends_at"),
        ({"days": 91}, "ends_at"),
        ({"starts_at": timezone.now() - timedelta(days=1)}, "starts_at"),
        ({"reason": "  "}, "reason"),
        ({"to": "nobody"}, "to"),
        ({"to": "user:not-a-number"}, "to"),
        ({"role": "auditor"}, "role"),
    ],
)
def test_what_is_no_delegation_is_refused_with_the_field(staging: Bank, change: dict[str, object], field: str) -> None:
    given = {"role": "ml_lead", "to": "dana", **change}
    with pytest.raises(BadInput) as refusal:
        scene.lend("layla", **given)  # type: ignore[arg-type]
    assert field in refusal.value.fields
    assert not Delegation.objects.exists()


def test_the_two_people_end_it_and_nobody_else(staging: Bank) -> None:
    row = scene.lend("layla", "ml_lead", "dana")
    with pytest.raises(NotPermitted):
        delegations.end(row.reference, reason="No.", by=scene.actor("amir"))
    delegations.end(row.reference, reason="Declined.", by=scene.actor("dana"))
    with pytest.raises(Conflict):
        delegations.end(row.reference, reason="Again.", by=scene.actor("layla"))
    with pytest.raises(DatabaseError), transaction.atomic():
        Delegation.objects.filter(pk=row.pk).update(delegate=scene.actor("omar").id)


def test_the_review_queue_shows_what_one_may_sign_in_somebodys_place(
    staging: Bank, client_for: Callable[[str], Client]
) -> None:
    promotion = scene.request(staging, place=staging.staging)
    dana = client_for("dana")

    def queue() -> str:
        return dana.get(reverse("governance:review_queue")).content.decode()

    assert "Nothing waits for your sign-off." in queue()
    row = scene.lend("layla", "ml_lead", "dana")
    assert "1 promotion waits for your sign-off." in queue()
    assert "in the place of Layla Haddad, until" in queue()
    assert "in the place of Layla Haddad" in dana.get("/").content.decode()
    delegations.end(row.reference, reason="Back.", by=scene.actor("layla"))
    assert "Nothing waits for your sign-off." in queue()
    scene.lend("layla", "ml_lead", "dana")
    scene.sign(promotion, "jonas", "ml_lead")
    assert "Nothing waits for your sign-off." in queue(), "the role is not missing any more"


def test_the_queue_offers_no_place_that_the_rule_does_not_lend(bank: Bank, client_for: Callable[[str], Client]) -> None:
    scene.lend("layla", "ml_lead", "dana")
    scene.request(bank)
    page = client_for("dana").get(reverse("governance:review_queue")).content.decode()
    assert "in the place of" not in page
    assert "Nothing waits for your sign-off." in page


def test_the_queue_offers_nobody_the_place_of_who_asked(staging: Bank, client_for: Callable[[str], Client]) -> None:
    scene.lend("layla", "ml_lead", "dana")
    scene.request(staging, place=staging.staging, by="layla")
    assert "in the place of" not in client_for("dana").get(reverse("governance:review_queue")).content.decode()
