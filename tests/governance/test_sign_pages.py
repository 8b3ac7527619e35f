"""The sign-off panel and the delegations page: take back, reopen, sign for somebody, end it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from governance.models.delegation import Delegation
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank

Browser = Callable[[str], Client]


def _page(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer.content[:2000]
    return answer.content.decode()


def test_only_who_signed_or_a_policy_owner_sees_the_form_and_it_works_without_a_script(
    bank: Bank, client_for: Browser
) -> None:
    promotion = scene.approved(bank)
    path, mine = f"/promotions/{promotion.pk}", promotion.signoffs.get(role="ml_lead")
    action = f"{path}/signoffs/{mine.pk}/revoke"
    for name, sees in (("layla", True), ("dana", True), ("jonas", False), ("yusuf", False), ("noor", False)):
        assert (action in _page(client_for(name), path)) is sees, name
    layla = client_for("layla")
    wrong = layla.post(action, {"reason": "Wrong run.", "password": "no"})
    assert wrong.status_code == 403
    assert "The password is wrong" in wrong.content.decode()
    done = layla.post(action, {"reason": "Wrong <b>run</b>.", "password": personas.PASSWORD}, follow=True)
    shown = done.content.decode()
    assert "Revoked by" in shown
    assert "Wrong &lt;b&gt;run&lt;/b&gt;." in shown
    promotion.refresh_from_db()
    assert promotion.state == "in_review"


def test_a_rejection_is_reopened_on_the_page(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    row = scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    omar, path = client_for("omar"), f"/promotions/{promotion.pk}"
    assert "Reopen this rejection" in _page(omar, path)
    given = {"reason": "I misread it.", "password": personas.PASSWORD}
    assert "Reopened by" in omar.post(f"{path}/signoffs/{row.pk}/reopen", given, follow=True).content.decode()
    promotion.refresh_from_db()
    assert promotion.state == "in_review"
    assert omar.get(f"{path}/signoffs/{row.pk}/reopen").status_code == 405


def test_a_delegation_is_made_used_on_the_promotion_and_ended(bank: Bank, client_for: Browser) -> None:
    scene.signed_in_staging()
    layla, dana = client_for("layla"), client_for("dana")
    day = f"{timezone.now() + timedelta(days=5):%Y-%m-%d}"
    given = {"role": "ml_lead", "to": "dana", "ends_at": day, "reason": "On leave.", "password": personas.PASSWORD}
    assert layla.post("/delegations", {**given, "password": "no"}).status_code == 403
    assert layla.post("/delegations", {**given, "ends_at": "soon"}).status_code == 422
    assert layla.post("/delegations", given).status_code == 302
    row = Delegation.objects.get()
    assert "You may sign in the place of 1 person." in _page(dana, "/delegations")
    assert "Nobody signs for anybody" not in _page(client_for("noor"), "/delegations")
    promotion = scene.request(bank, place=bank.staging)
    path, choice = f"/promotions/{promotion.pk}", f"ml_lead@{row.reference}"
    shown = _page(dana, path)
    assert f'value="{choice}"' in shown
    assert "in the place of Layla Haddad" in shown
    signature = {
        "meaning": "approve",
        "role": choice,
        "comment": "Read it.",
        "subject_digest": promotion.subject_digest,
        "password": personas.PASSWORD,
    }
    assert "In the place of" in dana.post(f"{path}/sign", signature, follow=True).content.decode()
    ended = dana.post(f"/delegations/{row.reference}/end", {"reason": "Back."}, follow=True).content.decode()
    assert "has ended" in ended
    assert dana.post(f"/delegations/{row.reference}/end", {"reason": "Back."}).status_code == 409
    assert client_for("amir").post(f"/delegations/{row.reference}/end", {"reason": "No."}).status_code == 403
    assert dana.post("/delegations/DG-1999-0001/end", {"reason": "No."}).status_code == 404


def test_before_their_turn_a_person_sees_why_and_can_only_reject(bank: Bank, client_for: Browser) -> None:
    scene.signed_in_staging("order: [ml_lead, compliance_officer]")
    promotion = scene.request(bank, place=bank.staging)
    shown = _page(client_for("omar"), f"/promotions/{promotion.pk}")
    assert "It is not your turn" in shown
    assert 'id="reject"' in shown
    assert 'id="sign-role"' not in shown
    assert 'id="sign-role"' in _page(client_for("layla"), f"/promotions/{promotion.pk}")


@pytest.mark.parametrize("count", [1, 6])
def test_the_number_of_queries_does_not_grow_with_delegations(bank: Bank, client_for: Browser, count: int) -> None:
    for _ in range(count):
        scene.lend("layla", "ml_lead", "dana")
    client = client_for("dana")
    client.get("/delegations")
    with CaptureQueriesContext(
        connection,
    ) as found:
        client.get("/delegations")
    assert len(found) <= 12, [each["sql"][:90] for each in found]
