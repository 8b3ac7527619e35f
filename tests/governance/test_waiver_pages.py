"""Waivers as people and programs see them: what is excused, what waits; proposed from a denial, approved, revoked."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit import queries as log
from governance import gate, rechecks, waivers
from governance.models.waiver import Waiver
from registry.models import Deployment
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.waiving import RULE, lab

__all__ = ["lab"]

Browser = Callable[[str], Client]


def page(client: Client, view: str, *arguments: object) -> str:
    answer = client.get(reverse(f"governance:{view}", args=list(arguments)))
    assert answer.status_code == 200, answer.content[:2000]
    return answer.content.decode()


def decided(bank: Bank) -> str:
    """The gate's newest decision about the candidate in staging."""
    decision = gate.check(bank.new, bank.staging, by=scene.actor("ci")).decision
    assert decision is not None
    return decision.public_id


def test_a_denial_leads_to_a_filled_proposal_and_the_pass_says_who_excused_why_and_until_when(
    lab: Bank, client_for: Browser
) -> None:
    yusuf = client_for("yusuf")
    denied = page(yusuf, "decision", decided(lab))
    link = re.search(r'href="(/waivers/new\?[^"]+)"', denied)
    assert link, "no way to a proposal"
    filled = yusuf.get(html.unescape(link[1])).content.decode()
    for name, value in (
        ("pack", "lab-runs"),
        ("rule", RULE),
        ("subjects", lab.new.subject),
        ("environment", "staging"),
    ):
        assert re.search(rf'name="{name}" value="{re.escape(value)}"', filled), name
    day = timezone.now() + timedelta(days=20)
    form = {"pack": "lab-runs", "rule": RULE, "version": lab.new.subject, "environment": "staging"}
    form |= {"subjects": lab.new.subject, "reason": "The laptop is gone.", "control": "Trained again by Friday."}
    made = yusuf.post(reverse("governance:propose_waiver"), {**form, "ends_at": f"{day:%Y-%m-%d}"})
    row = Waiver.objects.get()
    assert made["Location"] == row.get_absolute_url()
    assert f"{row.ends_at:%Y-%m-%dT%H:%M:%S}" == f"{day:%Y-%m-%d}T23:59:59"
    mine = page(yusuf, "waiver", row.reference)
    assert "You proposed this waiver; someone else must approve it." in mine
    assert 'name="password"' not in mine
    approve = reverse("governance:approve_waiver", args=[row.reference])
    assert yusuf.post(approve, {"password": personas.PASSWORD}).status_code == 403
    dana = client_for("dana")
    assert dana.post(approve, {"password": "wrong", "reason": "I read it."}).status_code == 403
    assert Waiver.objects.get().state == "proposed"
    assert dana.post(approve, {"password": personas.PASSWORD, "reason": "I read it."}).status_code == 302
    passed = page(client_for("noor"), "decision", decided(lab))
    assert "Failed, and excused:" in passed
    for told in (row.reference, "Dana Weiss", "The laptop is gone.", "Trained again by Friday."):
        assert told in passed, told
    assert "/waivers/new?" not in passed
    assert "Allowed, although 1 rule is waived." in passed


def test_a_rule_that_cannot_be_waived_offers_nothing(bank: Bank, client_for: Browser) -> None:
    scene.enforced(waivable="false")
    assert "/waivers/new?" not in page(client_for("yusuf"), "decision", decided(bank))


def test_a_promotions_page_says_the_same(bank: Bank, client_for: Browser) -> None:
    scene.enforced(environment="prod-uae")
    promotion = scene.request(bank)
    layla = client_for("layla")
    assert "/waivers/new?" in page(layla, "promotion", promotion.pk)
    row = scene.excuse(bank, environment=bank.uae)
    shown = page(layla, "promotion", promotion.pk)
    assert "Failed, and excused:" in shown
    assert row.reference in shown
    assert "Waiting for sign-off" in shown


def test_the_list_begins_with_what_ends_next_and_who_is_waited_for(lab: Bank, client_for: Browser) -> None:
    noor, dana = client_for("noor"), client_for("dana")
    assert "No rule is excused now." in page(noor, "waivers")
    row = scene.excuse(lab, days=10)
    scene.serve(lab, place=lab.staging)
    waiting = scene.propose(lab, days=20)
    over = scene.propose(lab, days=5)
    waivers.revoke(over.reference, reason="Not needed.", by=scene.actor("yusuf"))
    shown = page(dana, "waivers")
    day = f"{row.ends_at:%Y-%m-%d}"
    assert f"1 waiver excuses a rule. {row.reference} ends next, on {day}, and 1 deployment that serves" in shown
    assert "1 waits for your approval." in shown
    assert "Expiring" in shown
    assert "What is over" in shown
    assert "waits for your approval" not in page(noor, "waivers")
    assert "Waiting for somebody else" in page(client_for("yusuf"), "waivers")
    falling = page(noor, "waiver", row.reference)
    assert f"{RULE}: {lab.new.subject} does not come from a run on record" in falling
    assert waiting.reference in shown


def test_a_promotion_that_i_requested_is_not_mine_to_excuse(lab: Bank, client_for: Browser) -> None:
    scene.propose(lab)
    scene.request(lab, by="dana")
    assert "waits for your approval" not in page(client_for("dana"), "waivers")
    assert "1 waits for your approval." in page(client_for("omar"), "waivers")


def test_the_list_takes_the_same_number_of_queries_whatever_it_holds(lab: Bank, client_for: Browser) -> None:
    omar = client_for("omar")
    counts = []
    for number in (1, 6):
        while Deployment.objects.open().count() < number:
            slug = f"lab-{Deployment.objects.count()}"
            scene.enforced(pack=f"{slug}-runs", environment=slug)
            place = scene.environment(slug, "staging", "azure:uaenorth", "AE-federal")
            row = scene.excuse(lab, environment=place, pack=f"{slug}-runs")
            scene.propose(lab, environment=place, pack=f"{slug}-runs")
            scene.serve(lab, place=place)
        for view, arguments in (("waivers", []), ("waiver", [row.reference])):
            page(omar, view, *arguments)
            with CaptureQueriesContext(connection) as queries:
                page(omar, view, *arguments)
            counts.append(len(queries))
    assert counts[:2] == counts[2:], "the number of queries grows with what is excused"
    assert max(counts) <= 21


def test_a_form_with_mistakes_comes_back_with_each_at_its_field(lab: Bank, client_for: Browser) -> None:
    address = reverse("governance:propose_waiver")
    form = {"pack": "lab-runs", "rule": RULE, "version": lab.new.subject, "environment": "staging"}
    form |= {"subjects": "dataset:misspelt", "reason": "x", "control": "y", "ends_at": "2099-01-01"}
    yusuf = client_for("yusuf")
    wrong = yusuf.post(address, form)
    assert wrong.status_code == 400
    for name in ("subjects", "ends_at"):
        assert f'id="id_{name}_error"' in wrong.content.decode()
    unwaivable = {**form, "pack": "uae-pdpl", "rule": "AE-RES-001", "subjects": lab.new.subject}
    unwaivable["ends_at"] = f"{timezone.now() + timedelta(days=3):%Y-%m-%d}"
    assert yusuf.post(address, unwaivable).status_code == 422
    assert yusuf.post(address, {**unwaivable, "version": "version:none/1"}).status_code == 404
    assert client_for("sami").post(address, unwaivable).status_code == 403
    assert not Waiver.objects.exists()


def test_what_a_waiver_excused_is_marked_where_it_serves_when_it_ends(lab: Bank, client_for: Browser) -> None:
    row = scene.excuse(lab)
    scene.serve(lab, place=lab.staging)
    address = reverse("registry:environment", args=["staging"])
    noor = client_for("noor")
    assert "on-compliant" not in noor.get(address).content.decode()
    revoke = reverse("governance:revoke_waiver", args=[row.reference])
    assert noor.post(revoke, {"reason": "x"}).status_code == 403
    assert client_for("omar").post(revoke, {"reason": ""}).status_code == 400
    assert client_for("omar").post(revoke, {"reason": "Not kept."}).status_code == 302
    rechecks.follow_up()
    assert "on-compliant" in noor.get(address).content.decode()
    assert "was revoked and excuses nothing." in page(noor, "waiver", row.reference)


def _post(client: Client, address: str, body: object) -> Any:
    return client.post(address, body, content_type="application/json")


def test_the_api_proposes_shows_approves_and_revokes(lab: Bank, api_for: Browser, client_for: Browser) -> None:
    body = {
        "model": {"name": "credit-scoring", "version": "14"},
        "environment": "staging",
        "pack": "lab-runs",
        "rule": RULE,
        "subjects": [lab.new.subject],
        "reason": "The laptop is gone.",
        "control": "Trained again by Friday.",
        "ends_at": f"{timezone.now() + timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}",
    }
    yusuf = api_for("yusuf")
    assert _post(api_for("noor"), "/api/v1/waivers", body).status_code == 403
    assert _post(yusuf, "/api/v1/waivers", {**body, "until": "x"}).status_code == 400
    assert _post(yusuf, "/api/v1/waivers", {**body, "ends_at": "2026-12-01T00:00:00"}).status_code == 400
    assert _post(yusuf, "/api/v1/waivers", {**body, "subjects": ["dataset:none"]}).json()["code"] == "waiver.invalid"
    assert _post(yusuf, "/api/v1/waivers", {**body, "environment": "nowhere"}).status_code == 404
    refused = _post(yusuf, "/api/v1/waivers", {**body, "pack": "uae-pdpl", "rule": "AE-RES-001"})
    assert (refused.status_code, refused.json()["code"]) == (422, "waiver.not_waivable")
    made = _post(yusuf, "/api/v1/waivers", body)
    assert made.status_code == 201
    one = f"/api/v1/waivers/{made.json()['reference']}"
    assert made["Location"] == one
    noor = api_for("noor")
    assert noor.get(one).json()["standing"] == "proposed"
    assert noor.get("/api/v1/waivers/WV-404").status_code == 404
    given = {"password": personas.PASSWORD, "reason": "Read it."}
    by_token = _post(api_for("dana"), f"{one}/approve", given)
    assert by_token.status_code == 403
    assert "a token cannot" in by_token.json()["detail"]
    assert log.history(f"waiver:{made.json()['reference']}")[0].event == "waiver.refused"
    own = _post(client_for("yusuf"), f"{one}/approve", given)
    assert (own.status_code, own.json()["code"]) == (403, "waiver.self_approval")
    assert _post(client_for("amir"), f"{one}/approve", given).status_code == 403
    done = _post(client_for("dana"), f"{one}/approve", given)
    assert (done.status_code, done.json()["state"]) == (200, "active")
    assert _post(client_for("omar"), f"{one}/approve", given).status_code == 409
    listed = noor.get("/api/v1/waivers").json()["results"]
    assert [(each["approved_by"], each["control"]) for each in listed] == [
        (scene.actor("dana").id, "Trained again by Friday.")
    ]
    assert _post(yusuf, f"{one}/revoke", {}).status_code == 400
    gone = _post(yusuf, f"{one}/revoke", {"reason": "Trained again."}).json()
    assert (gone["state"], gone["revoked_reason"]) == ("revoked", "Trained again.")
