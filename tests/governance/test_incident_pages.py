"""Incidents in the browser and over the API: open, freeze, lift, see what was reached, take it home."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import openpyxl
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit import log
from audit.models.events import Event
from audit.refusals import NotKnown
from governance import freezing, gate, rollouts
from registry import datasets, incidents, versions
from registry.lineage import edges
from registry.models import Incident
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.test_incidents import frozen, opened

NEW_SINCE = datetime(2026, 1, 1, tzinfo=UTC)
Browser = Callable[[str], Client]
LOANS = "dataset:loans-2026q3"
NEW = {"title": "Consent was withdrawn", "root": LOANS, "since": "2026-01-01T00:00:00Z", "reason": "Letter of 3 March."}


def deployed(bank: Bank) -> None:
    """The candidate serves in the UAE, signed by two people."""
    scene.approved(bank)
    answer = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    assert answer.decision is not None
    rollouts.record_deploy(
        answer.decision.public_id, secret=answer.secret, environment="prod-uae", by=scene.actor("ci")
    )


def text(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.content[:2000]
    return answer.content.decode()


def test_a_compliance_officer_opens_and_freezes_in_the_browser_and_another_person_lifts(
    bank: Bank, client_for: Browser
) -> None:
    deployed(bank)
    omar, dana = client_for("omar"), client_for("dana")
    answer = omar.post("/incidents", {**NEW, "since": "2026-01-01"}, follow=True)
    assert "Open, not frozen: it holds nothing yet." in answer.content.decode()
    (incident,) = Incident.objects.all()
    page = incident.get_absolute_url()
    frozen_page = omar.post(f"{page}/freeze", {"reason": "Nothing of it may ship."}, follow=True).content.decode()
    assert "Frozen: every gate check on what it reaches denies." in frozen_page
    assert "what it taught serves in prod-uae now" in frozen_page
    for told in ("credit-scoring/14", "UAE, federal law", "azure:uaenorth", "Layla Haddad", "Omar Nasser"):
        assert told in frozen_page
    assert "You froze it; someone else must lift it." in frozen_page
    refused = omar.post(f"{page}/lift", {"reason": "Enough."})
    assert (refused.status_code, "second person" in refused.content.decode()) == (403, True)
    lifted = dana.post(f"{page}/lift", {"reason": "The consents were found."}, follow=True).content.decode()
    assert "Lifted: it holds nothing any more." in lifted
    for sentence in ("opened an incident", "froze what an incident reaches", "lifted the freeze of an incident"):
        assert sentence in lifted


def test_a_banner_cites_the_incident_on_the_version_and_its_promotion(bank: Bank, client_for: Browser) -> None:
    promotion = scene.request(bank)
    incident = frozen()
    noor = client_for("noor")
    for path in (bank.new.get_absolute_url(), f"/promotions/{promotion.pk}"):
        page = text(noor, path)
        assert f"{incident.reference} “Consent was withdrawn” holds it." in page
        assert f'href="{incident.get_absolute_url()}"' in page
        assert "Omar Nasser" in page
    assert "froze everything that learned from it" in text(noor, bank.loans.get_absolute_url())
    blocked = text(noor, f"/promotions/{promotion.pk}")
    assert f"Blocked: {incident.reference}" in blocked
    freezing.lift(incident.reference, reason="A mistake.", by=scene.actor("dana"))
    assert incident.reference not in text(noor, bank.new.get_absolute_url())


def test_whoever_may_not_freeze_sees_why_and_is_refused(bank: Bank, client_for: Browser) -> None:
    incident = opened()
    layla = client_for("layla")
    page = text(layla, incident.get_absolute_url())
    assert "Freezing needs the role compliance officer or data-protection officer." in page
    for step in ("freeze", "lift", "close"):
        assert layla.post(f"{incident.get_absolute_url()}/{step}", {"reason": "x"}).status_code == 403
    assert layla.post("/incidents", {**NEW, "since": "2026-01-01"}).status_code == 403
    assert Incident.objects.get().state == "open"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"root": "dataset:none"}, 404),
        ({"root": "library:x=1"}, 400),
        ({"since": "2999-01-01"}, 400),
        ({"since": "soon"}, 400),
        ({"title": ""}, 400),
        ({"reason": ""}, 400),
    ],
)
def test_an_incident_that_cannot_be_opened_says_why_on_the_form(
    bank: Bank, client_for: Browser, change: dict[str, str], status: int
) -> None:
    answer = client_for("omar").post("/incidents", {**NEW, "since": "2026-01-01", **change})
    assert answer.status_code == status
    assert 'role="alert"' in answer.content.decode()
    assert not Incident.objects.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/datasets/loans-2026q3",
        "/models/credit-scoring",
        "/models/credit-scoring/14",
        "/lineage?focus=run:run-9&depth=1",
    ],
)
def test_every_page_about_a_root_leads_to_what_it_reached(bank: Bank, client_for: Browser, path: str) -> None:
    run = edges.register_run("run-9", tracking_server="x", contributors=["yusuf"], by=scene.SET_UP)
    edges.record_edge(bank.loans, run, by=scene.SET_UP)
    assert 'href="/blast-radius?subject=' in text(client_for("noor"), path)


@pytest.mark.parametrize("root", [LOANS, "model:credit-scoring", "version:credit-scoring/14", "region:azure:uaenorth"])
def test_what_it_reached_is_the_same_on_the_page_over_the_api_and_in_both_files(
    bank: Bank, client_for: Browser, api_for: Browser, root: str
) -> None:
    deployed(bank)
    page = text(client_for("noor"), f"/blast-radius?subject={root}&since=2026-01-01")
    assert "what it taught serves in prod-uae now" in page
    api = api_for("ci")
    asked = f"subject={root}&since=2026-01-01T00:00:00Z"
    answer = api.get(f"/api/v1/blast-radius?{asked}").json()
    assert answer["counts"]["live"] == 1
    assert answer["deployments"][0]["perimeter"] == "AE-federal"
    assert answer["deployments"][0]["countries"] == ["AE"]
    assert answer["deployments"][0]["path"][0] == root
    assert {each["name"] for each in answer["sign_offs"]} == {"Layla Haddad", "Omar Nasser"}
    counted = sum(answer["counts"][name] for name in ("data_sets", "runs", "versions", "deployments", "sign_offs"))
    data = b"".join(api.get(f"/api/v1/blast-radius.csv?{asked}").streaming_content).decode()
    table = list(csv.DictReader(io.StringIO(data)))
    assert len(table) == counted
    (served,) = [row for row in table if row["kind"] == "deployment"]
    assert (served["environment"], served["perimeter"], served["state"]) == ("prod-uae", "AE-federal", "serving")
    book = openpyxl.load_workbook(
        io.BytesIO(b"".join(api.get(f"/api/v1/blast-radius.xlsx?{asked}").streaming_content)), read_only=True
    )
    assert len(list(book["reached"].rows)) == counted + 1
    assert text_of(client_for("noor"), f"/blast-radius.csv?subject={root}&since=2026-01-01") == data


def text_of(client: Client, path: str) -> str:
    answer: Any = client.get(path)
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


def test_a_name_that_would_be_a_formula_is_only_text_in_the_csv(bank: Bank, api_for: Browser) -> None:
    user = scene.personas.get("layla")
    log.append(Event.USER_CREATED, user, by=scene.SET_UP)
    type(user).objects.filter(pk=user.pk).update(display_name="=HYPERLINK(1)")
    deployed(bank)
    data = b"".join(api_for("ci").get(f"/api/v1/blast-radius.csv?subject={LOANS}").streaming_content).decode()
    people = {row["person"] for row in csv.DictReader(io.StringIO(data))}
    assert "'=HYPERLINK(1)" in people


def test_the_api_opens_and_freezes_with_a_token_and_lifts_only_for_a_person(
    bank: Bank, api_for: Browser, client_for: Browser
) -> None:
    api = api_for("omar")
    made = api.post("/api/v1/incidents", NEW, "application/json")
    assert made.status_code == 201, made.content
    reference = made.json()["id"]
    answer = api.post(f"/api/v1/incidents/{reference}/freeze", {"reason": "Stop."}, "application/json")
    assert answer.status_code == 200, answer.content
    assert answer.json()["held"] == ["version:credit-scoring/13", "version:credit-scoring/14"]
    assert api_for("ci").get("/api/v1/incidents").json()["results"][0]["state"] == "frozen"
    by_token = api_for("dana").post(f"/api/v1/incidents/{reference}/lift", {"reason": "x"}, "application/json")
    assert (by_token.status_code, by_token.json()["code"]) == (403, "access.incident.lift")
    person = client_for("dana").post(f"/api/v1/incidents/{reference}/lift", {"reason": "Found."}, "application/json")
    assert (person.status_code, person.json()["state"]) == (200, "lifted")
    again = api.post(f"/api/v1/incidents/{reference}/freeze", {"reason": "Stop."}, "application/json")
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**NEW, "since": "2026-01-01T00:00:00"}, 400),
        ({**NEW, "since": "2999-01-01T00:00:00Z"}, 400),
        ({**NEW, "root": "dataset:none"}, 404),
        ({**NEW, "root": "library:sha256:00"}, 400),
        ({**NEW, "because": "typo"}, 400),
        ({name: value for name, value in NEW.items() if name != "reason"}, 400),
    ],
)
def test_a_malformed_incident_is_refused_by_the_api(bank: Bank, api_for: Browser, body: Any, status: int) -> None:
    answer = api_for("omar").post("/api/v1/incidents", body, "application/json")
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert not Incident.objects.exists()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("subject=dataset:none", 404),
        ("subject=library:x=1", 400),
        (f"subject={LOANS}&since=yesterday", 400),
        (f"subject={LOANS}&since=2999-01-01T00:00:00Z", 400),
        (f"subject={LOANS}&depth=1", 400),
        ("subject=dataset:%00", 400),
        ("subject=region:aws:atlantis-1", 404),
    ],
)
def test_a_question_that_cannot_be_answered_is_a_problem_and_never_500(
    bank: Bank, api_for: Browser, client_for: Browser, query: str, status: int
) -> None:
    for kind in ("", ".csv", ".xlsx"):
        assert api_for("ci").get(f"/api/v1/blast-radius{kind}?{query}").status_code == status
    if query and "depth" not in query:
        assert client_for("noor").get(f"/blast-radius?{query}").status_code == status


def test_a_token_without_the_scope_cannot_freeze(bank: Bank, api_for: Browser) -> None:
    incident = opened()
    answer = api_for("ci").post(f"/api/v1/incidents/{incident.reference}/freeze", {"reason": "x"}, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "access.incident.change")


def test_an_incident_whose_root_is_gone_still_has_its_page(bank: Bank, client_for: Browser) -> None:
    lonely = datasets.register_dataset(
        "lonely", classification="none", subjects=[], regions_held=["azure:uaenorth"], by=scene.SET_UP
    )
    incident = incidents.open_incident("Lost", root=lonely.subject, since=NEW_SINCE, reason="x", by=scene.actor("omar"))
    type(lonely).objects.filter(pk=lonely.pk)._raw_delete("default")
    assert "no longer in the registry" in text(client_for("omar"), incident.get_absolute_url())
    with pytest.raises(NotKnown, match="registry knows no"):
        freezing.freeze(incident.reference, reason="x", by=scene.actor("omar"))


def test_the_lists_take_a_fixed_number_of_queries(bank: Bank, client_for: Browser) -> None:
    frozen()
    omar = client_for("omar")
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            text(omar, reverse("governance:incidents"))
        counts.append(len(queries))
        for number in range(5):
            incidents.open_incident(f"Number {number}", root=LOANS, since=NEW_SINCE, reason="x", by=scene.actor("dana"))
    assert counts[0] == counts[1]


def test_an_incidents_page_takes_as_many_queries_for_many_versions_as_for_two(bank: Bank, client_for: Browser) -> None:
    incident = frozen()
    omar = client_for("omar")
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            page = text(omar, incident.get_absolute_url())
        counts.append(len(queries))
        for number in range(20, 30):
            version = versions.register_version(
                bank.model, digest=scene.digest_of(str(number)), trained_by=["yusuf"], by=scene.SET_UP
            )
            edges.record_edge(bank.loans, version, by=scene.SET_UP)
    assert "credit-scoring/14" in page
    assert counts[0] == counts[1] <= 20
