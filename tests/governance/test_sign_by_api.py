"""Taking back and delegating over the API: in person with the password, never with a token."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from governance.models.delegation import Delegation
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank

Browser = Callable[[str], Client]


def post(client: Client, path: str, status: int, **body: Any) -> dict[str, Any]:
    answer = client.post(f"/api/v1/{path}", json.dumps(body), "application/json")
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_an_approval_is_revoked_and_a_rejection_reopened_in_person(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    scene.sign(promotion, "layla", "ml_lead")
    layla, omar = client_for("layla"), client_for("omar")
    shown = layla.get(f"/api/v1/promotions/{promotion.pk}").json()["signoffs"][0]
    path = f"promotions/{promotion.pk}/signoffs/{shown['id']}"
    wrong = post(layla, f"{path}/revoke", 403, reason="Wrong run.", password="no")
    assert wrong["code"] == "session.reauthentication"
    found = post(layla, f"{path}/revoke", 200, reason="Wrong run.", password=personas.PASSWORD)
    assert (found["state"], found["signoffs"][0]["taken_back"]) == ("in_review", "revoked")
    again = post(layla, f"{path}/revoke", 409, reason="Wrong run.", password=personas.PASSWORD)
    assert again["code"] == "signoff.taken_back"
    row = scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    back = f"promotions/{promotion.pk}/signoffs/{row.pk}/reopen"
    assert post(layla, back, 403, reason="Let it.", password=personas.PASSWORD)["code"] == "signoff.not_yours"
    assert post(omar, back, 200, reason="I misread it.", password=personas.PASSWORD)["state"] == "in_review"


def test_a_delegation_is_made_listed_used_and_ended(bank: Bank, client_for: Browser) -> None:
    scene.signed_in_staging()
    layla, dana = client_for("layla"), client_for("dana")
    given = {"role": "ml_lead", "to": "dana", "reason": "On leave.", "password": personas.PASSWORD}
    ends = (timezone.now() + timedelta(days=5)).isoformat()
    made = post(layla, "delegations", 201, ends_at=ends, **given)
    assert made["standing"] == "active"
    listed = dana.get("/api/v1/delegations").json()["results"]
    assert [each["reference"] for each in listed] == [made["reference"]]
    promotion = scene.request(bank, place=bank.staging)
    signed = post(
        dana,
        f"promotions/{promotion.pk}/signoffs",
        201,
        meaning="approve",
        role="ml_lead",
        comment="Read it.",
        subject_digest=promotion.subject_digest,
        password=personas.PASSWORD,
        delegation=made["reference"],
    )
    assert signed["signoffs"][0]["on_behalf_of"] == scene.actor("layla").id
    over = post(dana, f"delegations/{made['reference']}/end", 200, reason="Back.")
    assert (over["standing"], over["ended_by"]) == ("revoked", scene.actor("dana").id)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"password": "wrong"}, 403),
        ({"role": "dpo"}, 403),
        ({"to": "nobody"}, 400),
        ({"ends_at": "2020-01-01T00:00:00Z"}, 400),
        ({"ends_at": "2027-01-01"}, 400),
        ({"ends_at": "9999-12-31T23:59:59Z"}, 400),
        ({"reason": "\x00"}, 400),
        ({"for_ever": True}, 400),
    ],
)
def test_what_is_no_delegation_gets_a_sentence(
    bank: Bank, client_for: Browser, change: dict[str, Any], status: int
) -> None:
    ends = (timezone.now() + timedelta(days=5)).isoformat()
    given = {"role": "ml_lead", "to": "dana", "reason": "Leave.", "password": personas.PASSWORD, "ends_at": ends}
    found = post(client_for("layla"), "delegations", status, **{**given, **change})
    assert found["detail"]
    assert not Delegation.objects.exists()


def test_a_token_neither_takes_back_nor_delegates(bank: Bank, api_for: Browser) -> None:
    promotion = scene.request(bank)
    row = scene.sign(promotion, "layla", "ml_lead")
    ci = api_for("ci")
    path = f"promotions/{promotion.pk}/signoffs/{row.pk}/revoke"
    assert post(ci, path, 403, reason="No.", password="x")["detail"]
    ends = (timezone.now() + timedelta(days=5)).isoformat()
    given = {"role": "ml_lead", "to": "dana", "reason": "No.", "password": "x", "ends_at": ends}
    assert post(ci, "delegations", 403, **given)["detail"]
