"""Emergencies as people and programs see them: declared, confirmed, ended and reviewed with the password again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit import queries as log
from audit.refusals import Conflict
from governance import emergency, erasure
from governance.models.emergency import Emergency
from tests import personas
from tests.governance import scene
from tests.governance.breaking import Later, asked, declare, later, review, running
from tests.governance.scene import Bank
from tests.governance.test_emergency_review import DUE, deployed

__all__ = ["later"]
Browser = Callable[[str], Client]


def page(client: Client, view: str, *arguments: object) -> str:
    answer = client.get(reverse(f"governance:{view}", args=list(arguments)))
    assert answer.status_code == 200, answer.content[:2000]
    return answer.content.decode()


def form(**change: str) -> dict[str, str]:
    given = {
        "version": "version:credit-scoring/14",
        "environment": "prod-uae",
        "incident": "INC-204",
        "reason": "It refuses everybody over sixty.",
        "hours": "4",
        "password": personas.PASSWORD,
    }
    return {**given, **change}


def test_two_people_in_the_browser_and_a_third_who_reviews(bank: Bank, client_for: Browser) -> None:
    made = client_for("layla").post("/emergencies/new", form())
    assert made.status_code == 302, made.content.decode()[:3000]
    (row,) = Emergency.objects.all()
    assert made["Location"] == f"/emergencies/{row.reference}"
    shown = page(client_for("layla"), "emergency", row.reference)
    assert "lets nothing go yet" in shown
    assert "You declared this emergency" in shown, "no button for who declared it"
    confirmed = client_for("sami").post(f"/emergencies/{row.reference}/confirm", {"password": personas.PASSWORD})
    assert confirmed.status_code == 302
    shown = page(client_for("omar"), "emergency", row.reference)
    assert "may go to prod-uae without its signatures until" in shown
    assert "INC-204" in shown
    assert "PROD-TWO-PEOPLE" in shown
    decision = asked(bank).decision
    assert decision is not None
    told = page(client_for("noor"), "decision", decision.public_id)
    assert f"The emergency {row.reference} lets it go without its signatures." in told
    assert "tone-critical" in told
    assert "have not signed yet" not in told
    bad = client_for("omar").post(
        f"/emergencies/{row.reference}/review", {"reason": "Fine.", "password": personas.PASSWORD}
    )
    assert (bad.status_code, "ratified or not" in bad.content.decode()) == (400, True)
    done = client_for("omar").post(
        f"/emergencies/{row.reference}/review",
        {"verdict": "not_ratified", "reason": "It could have waited.", "password": personas.PASSWORD},
    )
    assert done.status_code == 302
    row.refresh_from_db()
    assert (row.state, row.review_reason) == ("not_ratified", "It could have waited.")


def test_a_wrong_password_changes_nothing(bank: Bank, client_for: Browser) -> None:
    refused = client_for("layla").post("/emergencies/new", form(password="wrong"))
    assert (refused.status_code, Emergency.objects.count()) == (403, 0)
    assert "The password is wrong" in refused.content.decode()
    row = declare(bank)
    for path, data in (("confirm", {}), ("review", {"verdict": "ratified", "reason": "Fine."})):
        who = "sami" if path == "confirm" else "omar"
        answer = client_for(who).post(f"/emergencies/{row.reference}/{path}", {**data, "password": "wrong"})
        assert answer.status_code == 403
    row.refresh_from_db()
    assert row.state == "declared"


def test_what_is_wrong_with_the_form_is_a_sentence(bank: Bank, client_for: Browser) -> None:
    for change in (
        {"hours": "0"},
        {"hours": "x"},
        {"reason": " "},
        {"incident": ""},
        {"version": "version:credit-scoring/99"},
        {"version": "\x00"},
        {"environment": "nowhere"},
    ):
        answer = client_for("layla").post("/emergencies/new", form(**change))
        assert 400 <= answer.status_code < 500, change
    refused = client_for("layla").post("/emergencies/new", form(hours="25"))
    assert "24 hours at most" in refused.content.decode()
    assert not Emergency.objects.exists()


def test_an_administrator_sees_why_there_is_no_button(bank: Bank, client_for: Browser) -> None:
    row = running(bank)
    shown = page(client_for("amir"), "emergency", row.reference)
    assert "Reviewing an emergency needs the role" in shown
    assert 'name="verdict"' not in shown
    assert "disabled" in page(client_for("amir"), "declare_emergency")
    answer = client_for("amir").post(f"/emergencies/{row.reference}/stop", {"reason": "No."})
    assert answer.status_code == 403


def test_one_person_ends_it_on_its_page(bank: Bank, client_for: Browser) -> None:
    row = running(bank)
    assert client_for("dana").post(f"/emergencies/{row.reference}/stop", {"reason": "Enough."}).status_code == 302
    assert asked(bank).verdict.outcome == "pending"
    assert "waits for its review" in page(client_for("dana"), "emergency", row.reference)
    assert client_for("dana").post(f"/emergencies/{row.reference}/stop", {"reason": "Again."}).status_code == 409


def test_the_overview_and_the_list_are_red_until_it_is_reviewed(bank: Bank, client_for: Browser, later: Later) -> None:
    omar = client_for("omar")
    assert "No emergency is open" in page(omar, "emergencies")
    row = deployed(bank)
    assert row.reference in page(omar, "overview")
    later(DUE)
    assert "The review of 1 emergency is late, and its model is held." in page(client_for("omar"), "overview")
    assert "nothing of credit-scoring goes forward" in page(client_for("omar"), "emergency", row.reference)
    assert "Another version has to serve" in page(client_for("omar"), "emergency", row.reference)
    review(row)
    assert row.reference not in page(client_for("omar"), "overview").partition('id="recent"')[0].partition("Lately")[0]


def test_the_list_asks_no_more_for_more(bank: Bank, client_for: Browser) -> None:
    omar = client_for("omar")
    page(omar, "emergencies")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            page(omar, "emergencies")
        return len(seen)

    before = queries()
    declare(bank)
    review(running(bank, version=bank.old))
    assert queries() == before


def test_a_page_that_is_not_there(client_for: Browser, bank: Bank) -> None:
    assert client_for("omar").get("/emergencies/EM-2026-9999").status_code == 404
    assert client_for("omar").post("/emergencies/EM-2026-9999/confirm", {}).status_code == 404


def test_the_api_does_the_same_in_a_session_and_a_token_only_reads(
    bank: Bank, client_for: Browser, api_for: Browser
) -> None:
    body: dict[str, Any] = {
        "model": {"name": "credit-scoring", "version": "14"},
        "environment": "prod-uae",
        "incident": "INC-204",
        "reason": "It refuses everybody over sixty.",
        "hours": 4,
        "password": personas.PASSWORD,
    }
    for who in ("layla", "ci"):
        refused = api_for(who).post("/api/v1/emergencies", body, content_type="application/json")
        assert refused.status_code == 403, who
    assert not Emergency.objects.exists()
    made = client_for("layla").post("/api/v1/emergencies", body, content_type="application/json")
    assert made.status_code == 201, made.content
    reference = made.json()["reference"]
    assert (made.json()["state"], made["Location"]) == ("declared", f"/api/v1/emergencies/{reference}")
    assert "password" not in made.json()
    secret = {"password": personas.PASSWORD}
    path = f"/api/v1/emergencies/{reference}"
    mine = client_for("layla").post(f"{path}/confirm", secret, content_type="application/json")
    assert (mine.status_code, mine.json()["code"]) == (403, "emergency.self_confirmation")
    token = api_for("sami").post(f"{path}/confirm", secret, content_type="application/json")
    assert token.status_code == 403
    begun = client_for("sami").post(f"{path}/confirm", secret, content_type="application/json")
    assert (begun.status_code, begun.json()["standing"]) == (200, "emergency")
    read = api_for("noor").get(path)
    assert read.json()["review_by"] == ["compliance_officer", "dpo"]
    assert [each["reference"] for each in api_for("noor").get("/api/v1/emergencies").json()["results"]] == [reference]
    stopped = api_for("sami").post(f"{path}/stop", {"reason": "x"}, content_type="application/json")
    assert stopped.status_code == 403, "a token ends nothing"
    verdict = {"ratified": True, "reason": "It was right.", **secret}
    for change in ({"ratified": "perhaps"}, {"reason": ""}, {"extra": 1}):
        bad = client_for("omar").post(f"{path}/review", {**verdict, **change}, content_type="application/json")
        assert bad.status_code == 400, change
    done = client_for("omar").post(f"{path}/review", verdict, content_type="application/json")
    assert (done.status_code, done.json()["state"]) == (200, "ratified")
    assert api_for("noor").get("/api/v1/emergencies/EM-2026-9999").status_code == 404


def test_the_gate_answers_with_the_emergency(bank: Bank, api_for: Browser) -> None:
    row = running(bank)
    body = {"model": {"name": "credit-scoring", "version": "14"}, "environment": "prod-uae"}
    answer = api_for("ci").post("/api/v1/gate/checks", body, content_type="application/json").json()
    assert (answer["decision"], answer["signoff"]["emergency"]) == ("allow", row.reference)
    assert answer["permit"]
    found = next(each for each in answer["findings"] if each["rule"] == "PROD-TWO-PEOPLE")
    assert found["waived_by"] == row.reference


def test_the_texts_of_who_is_erased_go_and_what_they_hold_open_comes_first(bank: Bank) -> None:
    row = running(bank)

    def erase() -> None:
        erasure.erase(
            personas.get("layla").uuid,
            reason="Request 7.",
            no_legal_hold=True,
            reauthenticated_at=timezone.now(),
            by=scene.actor("dana"),
        )

    with pytest.raises(Conflict, match=row.reference):
        erase()
    review(row)
    erase()
    row.refresh_from_db()
    assert "sixty" not in row.reason
    assert log.history(row.subject)
    assert emergency.find(row.reference).declared_by == row.declared_by
