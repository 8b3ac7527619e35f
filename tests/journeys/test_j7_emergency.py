"""J7, the emergency lane: it skips the quorum, opens a review with a deadline, and blocks promotions when it lapses.
What is not ratified is replaced; what is ratified in time goes on serving and holds nothing.

On a server of its own, not on the demo: the clock has to pass the review's deadline. Server, database, Chromium and
command line are the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from subprocess import CompletedProcess
from typing import Any

import httpx
import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect

from governance import tasks
from registry import deployments
from tests import personas
from tests.browser.conftest import chromium, serving_pages, sign_in
from tests.cli.gate import run
from tests.governance import scene
from tests.governance.scene import Bank

RULE = "PROD-TWO-PEOPLE"


@dataclass(frozen=True)
class Night:
    """The running product at three in the morning."""

    bank: Bank
    url: str
    browser: Browser

    def cli(self, *words: str) -> CompletedProcess[str]:
        return run(*words, COUNTERSIGN_URL=self.url, COUNTERSIGN_TOKEN=personas.token_of("ci"))

    def check(self, version: str = "14") -> tuple[int, dict[str, Any]]:
        """The gate's exit code and answer about a version in prod-uae."""
        words = ("check", "--model", "credit-scoring", "--version", version, "--environment", "prod-uae")
        done = self.cli(*words, "--output", "json")
        return done.returncode, json.loads(done.stdout)

    def api(self, username: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {personas.token_of(username)}"}
        return httpx.Client(base_url=f"{self.url}/api/v1/", headers=headers, timeout=60)

    def at(self, username: str, path: str) -> Any:
        """A tab of that person on a page."""
        tab = self.browser.new_context().new_page()
        sign_in(tab, self.url, username)
        tab.goto(self.url + path)
        return tab


@pytest.fixture
def night(committed_db: object) -> Iterator[Night]:
    """The bank, whose version 13 serves, served."""
    with chromium() as browser:
        bank = scene.build()
        deployments.record_deploy(bank.uae, bank.old, "all_at_once", "seed", "seed", by=scene.SET_UP)
        with serving_pages() as url:
            yield Night(bank, url, browser)


def test_two_people_skip_the_quorum_a_late_review_holds_the_model_and_a_ratified_one_does_not(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert night.check()[0] == 3, "nobody signed"
    reference = declared(night)
    confirmed(night, reference)
    deployed(night, reference)
    truly = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: truly() + timedelta(hours=52, minutes=1))
    held(night, reference)
    not_ratified(night, reference)
    rollback = replaced(night, reference)
    another = declared_by_api(night)
    confirmed(night, another)
    deployed(night, another)
    ratified(night, rollback, another)
    monkeypatch.setattr(timezone, "now", lambda: truly() + timedelta(hours=106))
    settled(night, another)


def declared(night: Night) -> str:
    """Layla declares it in the browser; a program cannot."""
    with night.api("layla") as api:
        body = {
            "model": {"name": "credit-scoring", "version": "14"},
            "environment": "prod-uae",
            "incident": "INC-204",
            "reason": "x",
            "hours": 4,
            "password": personas.PASSWORD,
        }
        assert api.post("emergencies", json=body).status_code == 403, "a token proves nobody's presence"
    tab = night.at("layla", "/emergencies")
    tab.get_by_role("link", name="Declare an emergency").first.click()
    tab.get_by_label("Model version").fill("version:credit-scoring/14")
    tab.get_by_label("Environment").fill("prod-uae")
    tab.get_by_label("Incident").fill("INC-204")
    tab.get_by_label("Why it cannot wait").fill("It refuses everybody over sixty.")
    tab.get_by_label("Your password, again").fill(personas.PASSWORD)
    tab.get_by_role("button", name="Declare").click()
    expect(tab.get_by_text("You declared this emergency; someone else must confirm it.")).to_be_visible()
    assert night.check()[0] == 3, "one person is not two"
    return str(tab.url).rpartition("/")[2]


def confirmed(night: Night, reference: str) -> None:
    """Sami confirms; Amir, who administers, cannot."""
    admin = night.at("amir", f"/emergencies/{reference}")
    assert admin.get_by_role("button", name="Confirm the emergency").count() == 0
    tab = night.at("sami", f"/emergencies/{reference}")
    tab.get_by_label("Your password, again").fill(personas.PASSWORD)
    tab.get_by_role("button", name="Confirm the emergency").click()
    expect(tab.get_by_text("Confirmed. The pipeline may ask for its permit now.")).to_be_visible()


def deployed(night: Night, reference: str) -> None:
    """The gate allows exactly this, says by what, and its permit deploys."""
    code, answer = night.check()
    assert (code, answer["decision"]) == (0, "allow")
    with night.api("noor") as api:
        assert api.get(f"decisions/{answer['decision_id']}").json()["signoff"]["emergency"] == reference
    skipped = next(each for each in answer["findings"] if each["rule"] == RULE)
    assert (skipped["outcome"], skipped["waived_by"]) == ("fail", reference)
    assert night.check("13")[0] == 3, "for no other version"
    tab = night.at("noor", f"/decisions/{answer['decision_id']}")
    expect(tab.get_by_text(f"The emergency {reference} lets it go without its signatures.")).to_be_visible()
    permit = ("--decision", answer["decision_id"], "--permit", answer["permit"]["secret"])
    done = night.cli("deploy", "record", *permit, "--environment", "prod-uae")
    assert done.returncode == 0, done.stdout + done.stderr
    sarif = night.cli(
        "check", "--model", "credit-scoring", "--version", "14", "--environment", "prod-uae", "--output", "sarif"
    )
    results = json.loads(sarif.stdout)["runs"][0]["results"]
    mine = next(each for each in results if each["ruleId"] == RULE)
    assert reference in mine["suppressions"][0]["justification"]


def held(night: Night, reference: str) -> None:
    """Nobody reviewed it: every version of the model is denied before any clock has noted it."""
    for version in ("13", "14"):
        code, answer = night.check(version)
        assert (code, answer["decision"]) == (1, "deny")
        assert any(each["rule"] == "ENGINE-REVIEW" and reference in each["message"] for each in answer["findings"])
    assert tasks.follow_up_emergencies() == 2, "over, and late"
    tab = night.at("omar", "/")
    expect(tab.get_by_text("The review of 1 emergency is late, and its model is held.").first).to_be_visible()
    told = night.cli("emergency", "get", "--reference", reference)
    assert told.stdout.startswith(f"{reference}  overdue  credit-scoring/14 -> prod-uae  INC-204"), told.stderr


def not_ratified(night: Night, reference: str) -> None:
    """Layla cannot judge herself; Omar does not ratify: the model is free, and another version has to serve."""
    own = night.at("layla", f"/emergencies/{reference}")
    expect(own.get_by_text("You declared or confirmed this emergency; someone else must review it.")).to_be_visible()
    tab = night.at("omar", f"/emergencies/{reference}")
    tab.get_by_label("What you looked at").fill("It could have waited until eight.")
    tab.get_by_label("Your password, again").fill(personas.PASSWORD)
    tab.get_by_role("button", name="Do not ratify").click()
    expect(tab.get_by_text("Another version has to serve instead of").first).to_be_visible()
    assert night.check("13")[0] == 3, "held no more"
    assert [each["version"] for each in to_replace(night)] == ["version:credit-scoring/14"]
    tab.goto(f"{night.url}/models/credit-scoring/14")
    expect(tab.get_by_text(f"by {reference}, which was not ratified").first).to_be_visible()


def to_replace(night: Night) -> list[dict[str, Any]]:
    """The standing findings that another version has to serve."""
    with night.api("noor") as api:
        rows = api.get("findings", params={"kind": "must_be_replaced", "show": "standing"}).json()["results"]
    return [dict(each) for each in rows]


def replaced(night: Night, reference: str) -> str:
    """One action with reason and incident; it opens a review of its own."""
    words = ("rollback", "record", "--model", "credit-scoring", "--version", "13", "--environment", "prod-uae")
    done = night.cli(*words, "--reason", f"Ordered by {reference}.", "--incident", "INC-204")
    assert done.returncode == 0, done.stdout + done.stderr
    assert to_replace(night) == [], "before any clock"
    assert tasks.follow_up_emergencies() == 1
    with night.api("noor") as api:
        assert api.get(f"emergencies/{reference}").json()["replaced_at"]
        newest = api.get("emergencies").json()["results"][0]
    assert (newest["kind"], newest["standing"]) == ("rollback", "awaiting_review")
    tab = night.at("omar", "/emergencies")
    expect(tab.get_by_role("link", name=newest["reference"]).first).to_be_visible()
    return str(newest["reference"])


def posted(night: Night, tab: Any, path: str, body: dict[str, Any]) -> Any:
    """The answer of the API to the person who is signed in in that tab."""
    token = next(each["value"] for each in tab.context.cookies() if "csrf" in each["name"])
    headers = {"X-CSRFToken": token, "Referer": night.url}
    return tab.request.post(f"{night.url}/api/v1/{path}", data=body, headers=headers)


def declared_by_api(night: Night) -> str:
    """The same version is needed again: Layla declares it by the API, in her session."""
    tab = night.at("layla", "/emergencies/new")
    body = {
        "model": {"name": "credit-scoring", "version": "14"},
        "environment": "prod-uae",
        "incident": "INC-231",
        "reason": "The version before it refuses everybody under thirty.",
        "hours": 4,
        "password": personas.PASSWORD,
    }
    answer = posted(night, tab, "emergencies", body)
    assert answer.status == 201, answer.text()
    return str(answer.json()["reference"])


def ratified(night: Night, rollback: str, reference: str) -> None:
    """Omar ratifies the rollback by the API and the emergency in the browser; who declared it, and a token, cannot."""
    judged = {"ratified": True, "reason": "It could not wait.", "password": personas.PASSWORD}
    own = posted(night, night.at("layla", "/emergencies"), f"emergencies/{reference}/review", judged)
    assert (own.status, own.json()["code"]) == (403, "emergency.self_review")
    with night.api("omar") as api:
        assert api.post(f"emergencies/{reference}/review", json=judged).status_code == 403
    tab = night.at("omar", f"/emergencies/{reference}")
    answer = posted(night, tab, f"emergencies/{rollback}/review", judged)
    assert (answer.status, answer.json()["standing"]) == (200, "ratified"), answer.text()
    tab.get_by_label("What you looked at").fill("Everybody under thirty was refused; it could not wait.")
    tab.get_by_label("Your password, again").fill(personas.PASSWORD)
    tab.get_by_role("button", name="Ratify", exact=True).click()
    expect(tab.get_by_text(f"{reference} was reviewed and ratified.").first).to_be_visible()
    again = posted(night, tab, f"emergencies/{reference}/review", {**judged, "ratified": False})
    assert (again.status, again.json()["code"]) == (409, "emergency.state"), "it cannot be taken back"


def settled(night: Night, reference: str) -> None:
    """Past every deadline nothing is late: the version serves, its skipped signatures are asked for next time, and
    nothing of the model is held.
    """
    tasks.follow_up_emergencies()
    assert to_replace(night) == []
    for version in ("13", "14"):
        code, answer = night.check(version)
        assert (code, answer["decision"]) == (3, "pending"), "signatures are missing, and nothing else"
    with night.api("noor") as api:
        found = api.get(f"emergencies/{reference}").json()
    assert (found["standing"], found["replaced_at"]) == ("ratified", None)
    told = night.cli("emergency", "get", "--reference", reference)
    assert told.stdout.startswith(f"{reference}  ratified  credit-scoring/14 -> prod-uae  INC-231"), told.stderr
    assert "ratified by user:" in told.stdout
    assert [each for each in night.cli("emergency", "list").stdout.splitlines() if "overdue" in each] == []
    tab = night.at("omar", "/emergencies")
    expect(tab.get_by_role("link", name=reference).first).to_be_visible()
    tab.goto(f"{night.url}/models/credit-scoring/14")
    expect(tab.get_by_text("credit-scoring/14 serves in prod-uae.")).to_be_visible()
    assert tab.get_by_text("Another version has to serve").count() == 0
