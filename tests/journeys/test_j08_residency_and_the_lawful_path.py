"""J8: Saudi data may not go to Frankfurt; the lawful path is walked by two people; past its end what runs is unlawful.

Over HTTP, with the command that a pipeline uses and in Chromium, on a server of its own: its clock has to be put
forward, which the demo's cannot.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.servers.basehttp import ThreadedWSGIServer, get_internal_wsgi_application
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import Browser

from audit import log
from audit.models.events import Event
from governance import tasks
from registry import datasets, environments, versions
from registry.lineage import edges
from registry.models import Environment, Finding
from tests import personas
from tests.browser.conftest import _Quiet, browser  # noqa: F401  (a fixture)
from tests.cli.gate import CLI
from tests.conftest import CommittedDatabase
from tests.governance import scene
from tests.stack import token_in

FRANKFURT = "azure:germanywestcentral"
PLACE = "environment:dr-frankfurt"


@dataclass
class House:
    """The running server, and who asks it how."""

    url: str
    folder: Path
    clients: list[httpx.Client] = field(default_factory=list)

    def people(self, username: str) -> httpx.Client:
        """An HTTP client that signed in through the login form."""
        client = httpx.Client(base_url=self.url, follow_redirects=True, timeout=60, headers={"Referer": self.url})
        self.clients.append(client)
        form = {"username": username, "password": personas.PASSWORD}
        answer = client.post("/login", data={**form, "csrfmiddlewaretoken": token_in(client.get("/login").text)})
        assert answer.status_code == 200, answer.text[:2000]
        assert "/login" not in str(answer.url)
        return client

    def api(self, username: str) -> httpx.Client:
        """An HTTP client with that persona's token."""
        scopes = None if username == "ci" else ("promotion.read", "transfer.change")
        headers = {"Authorization": f"Bearer {personas.token_of(username, scopes=scopes)}"}
        client = httpx.Client(base_url=f"{self.url}/api/v1/", timeout=60, headers=headers)
        self.clients.append(client)
        return client

    def cli(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit code and JSON of ``countersign``, as a pipeline runs it."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COUNTERSIGN_")}
        environment |= {"COUNTERSIGN_URL": self.url, "COUNTERSIGN_TOKEN": personas.token_of("ci")}
        environment["PYTHONPATH"] = str(CLI)
        command = [sys.executable, "-m", "countersign", *words, "--output", "json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        return done.returncode, json.loads(done.stdout or "{}")

    def gate(self, *words: str, number: int = 15, place: str = "dr-frankfurt") -> tuple[int, dict[str, Any]]:
        """May this version go there?"""
        asked = ["--model", "credit-scoring", "--version", str(number), "--environment", place]
        return self.cli("check", *asked, *words)


@pytest.fixture
def house(committed_db: CommittedDatabase, tmp_path: Path) -> Iterator[House]:
    """The bank of ``scene`` with a version that learned from people in the Kingdom, served to real clients."""
    bank = scene.build()
    environments.change_environment(bank.frankfurt, backups=[FRANKFURT], support_access=["DE"], by=scene.SET_UP)
    learned(15, "salaries-ksa", subjects=["SA"], regions=["gcp:me-central2"])
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Quiet)
    server.set_app(get_internal_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    house = House(f"http://127.0.0.1:{server.server_port}", tmp_path)
    try:
        yield house
    finally:
        for client in house.clients:
            client.close()
        server.shutdown()
        server.server_close()
        thread.join(10)


def learned(number: int, name: str, *, subjects: list[str], regions: list[str]) -> None:
    """A version that learned from this data set alone."""
    data = datasets.register_dataset(
        name,
        classification="personal",
        subjects=subjects,
        regions_held=regions,
        confirmed=bool(subjects and regions),
        by=scene.SET_UP,
    )
    version = versions.register_version(
        versions.find_model("credit-scoring"),
        digest=scene.digest_of(f"credit-scoring/{number}"),
        trained_by=["yusuf"],
        number=number,
        by=scene.SET_UP,
    )
    edges.record_edge(data, version, by=scene.SET_UP)


def blocking(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in answer["findings"] if each["severity"] == "block" and each["outcome"] in ("fail", "error")]


def sign(client: httpx.Client, number: int, role: str) -> httpx.Response:
    """Fill in the sign-off form of the page exactly as it was shown."""
    page = client.get(f"/promotions/{number}").text
    digest = re.search(r'name="subject_digest" value="([^"]+)"', page)
    assert digest, "the page offers no sign-off form"
    form = {"csrfmiddlewaretoken": token_in(page), "subject_digest": digest.group(1), "role": role}
    form |= {"meaning": "approve", "comment": "The transfer has its file.", "password": personas.PASSWORD}
    return client.post(f"/promotions/{number}/sign", data=form)


def seen(house: House, chromium: Browser, username: str, path: str) -> str:
    """What a person reads on a page, in a real browser."""
    context = chromium.new_context()
    try:
        for cookie in house.people(username).cookies.jar:
            context.add_cookies([{"name": cookie.name, "value": cookie.value or "", "url": house.url}])
        tab = context.new_page()
        tab.goto(house.url + path)
        return tab.inner_text("main")
    finally:
        context.close()


def test_from_the_denial_over_the_lawful_path_to_its_end(
    house: House,
    browser: Browser,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Denied, with the clause and the step of the flow.
    code, answer = house.gate()
    assert (code, answer["decision"]) == (1, "deny")
    found = blocking(answer)
    assert {each["rule"] for each in found} == {"SA-RES-001"}
    assert {each["facts"]["kind"] for each in found} == {"serving", "inference_log", "backup", "support_access"}
    for each in found:
        assert "TR Art. 4(1)" in each["cites"]
        assert each["path"] == ["version:credit-scoring/15", PLACE]
        assert each["who"] == ["dpo", "ml_lead"]
    asked = {"model": {"name": "credit-scoring", "version": "15"}, "environment": "dr-frankfurt", "reason": "DR."}
    made = house.api("ci").post("promotions", json=asked)
    assert made.status_code == 201, made.text
    number = made.json()["id"]
    page = seen(house, browser, "omar", f"/promotions/{number}")
    for words in ("SA-RES-001", "PDPL Art. 29(2)", PLACE, "support access", FRANKFURT):
        assert words in page, page

    # The data-protection officer proposes a mechanism with document, six elements and an end.
    dana, omar = house.api("dana"), house.api("omar")
    body = {
        "reference": "TS-J8",
        "type": "SCC",
        "law": "SA",
        "document": "Standard clauses with the Frankfurt branch",
        "document_digest": "sha256:" + "c" * 64,
        "exporter": "Bank, Riyadh",
        "importer": "Bank, Frankfurt",
        "subjects": [PLACE],
        "regions": [FRANKFURT, "country:DE"],
        "expires_at": (timezone.now() + timedelta(hours=1)).isoformat(),
        "risk_assessment_at": timezone.now().isoformat(),
        "assessment": scene.ASSESSMENT,
    }
    half = dana.post("transfers", json={**body, "assessment": {"A": "Only one."}})
    assert (half.status_code, "B, C, D, E, F" in half.text) == (400, True), half.text
    nowhere = dana.post("transfers", json={**body, "regions": [FRANKFURT, "country:XX"]})
    assert (nowhere.status_code, "is not a country" in nowhere.text) == (400, True), nowhere.text
    assert dana.post("transfers", json=body).status_code == 201
    assert house.gate()[0] == 1, "nobody approved it yet"
    alone = dana.post("transfers/TS-J8/approve", json={"reason": "Mine."})
    assert alone.status_code == 403, alone.text
    assert house.gate()[0] == 1
    assert omar.post("transfers/TS-J8/approve", json={"reason": "Read it."}).status_code == 200
    code, answer = house.gate()
    assert (code, answer["decision"], blocking(answer)) == (3, "pending", [])
    held = [each for each in answer["findings"] if each["waived_by"] == "TS-J8"]
    assert {each["facts"]["kind"] for each in held} == {"serving", "inference_log", "backup", "support_access"}

    # Two people sign, the pipeline deploys with its permit.
    for username, role in (("layla", "ml_lead"), ("omar", "compliance_officer")):
        assert sign(house.people(username), number, role).status_code == 200
    answer_file = str(house.folder / "answer.json")
    code, answer = house.gate("--action", "deploy", "--save", answer_file)
    assert (code, answer["decision"]) == (0, "allow"), answer
    code, recorded = house.cli("deploy", "record", "--answer", answer_file, "--environment", "dr-frankfurt")
    assert code == 0, recorded
    page = seen(house, browser, "noor", "/residency")
    assert "Every flow of what serves is where its law wants it or covered by a safeguard." in page
    assert "TS-J8" in page
    assert house.cli("residency")[1]["counts"]["covered"] == 4

    # Its end comes while the model runs.
    truly = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: truly() + timedelta(hours=2))
    assert tasks.follow_up_safeguards() == 1
    front = seen(house, browser, "omar", "/")
    assert "no longer lawful" in front, front
    assert "Non-compliant" in front
    assert "TS-J8" in front, "there is a transfer to halt"
    finding = Finding.objects.unlawful().get()
    assert finding.observed["safeguard"] == "TS-J8"
    assert "SA-RES-001" in seen(house, browser, "omar", finding.get_absolute_url())
    page = seen(house, browser, "noor", "/residency")
    assert "4 flows are not covered" in page
    assert house.cli("residency")[1]["counts"]["uncovered"] == 4
    code, listed = house.cli("transfers", "list")
    assert (code, [each["standing"] for each in listed["results"]]) == (0, ["ended"])
    code, halts = house.cli("halts", "list")
    assert (code, [(each["safeguard"], each["state"]) for each in halts["results"]]) == (0, [("TS-J8", "open")])
    assert house.gate()[0] == 1


@pytest.mark.parametrize("unknown", ["data", "people", "backups", "support_access", "explanation_workers"])
def test_an_unknown_country_anywhere_denies(house: House, unknown: str) -> None:
    place = Environment.objects.get(slug="prod-uae")
    people = [] if unknown == "people" else ["AE"]
    learned(16, "loans-ae", subjects=people, regions=[] if unknown == "data" else ["azure:uaenorth"])
    if unknown in ("data", "people"):
        code, answer = house.gate(number=16, place="prod-uae")
        assert (code, answer["decision"]) == (1, "deny")
        assert {each["subject"] for each in blocking(answer)} >= {"dataset:loans-ae"}
        return
    assert house.gate(number=16, place="prod-uae")[0] == 3, "all is known: people may sign"
    with transaction.atomic():  # as an environment from before anybody was asked
        Environment.objects.filter(pk=place.pk).update(**{unknown: None})
        log.append(Event.ENVIRONMENT_CHANGED, place, facts={unknown: None}, by=scene.SET_UP)
    code, answer = house.gate(number=16, place="prod-uae")
    assert (code, answer["decision"]) == (1, "deny")
    kind = {"backups": "backup", "explanation_workers": "explanation_job"}.get(unknown, unknown)
    assert {(each["subject"], each["facts"]["kind"]) for each in blocking(answer)} == {(place.subject, kind)}
    assert all("an unknown region" in each["message"] for each in blocking(answer))
