"""J9: a data set turns out to be unlawful; what it reached is found, frozen, cited by every gate check, and freed.

The data set is the one that version 1 of the story learned from; versions 2 and 3 learned from others. The freeze is
lifted at the end whatever happens, and version 1 has no open promotion, so no other journey meets it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.stack import RunningStack, eventually, token_in

ROOT = "dataset:applications-ae-2026q2"
TITLE = "Consent of the second quarter was void"


def gate(stack: RunningStack, version: str) -> tuple[int, dict[str, Any]]:
    """``countersign check`` for staging, where no sign-off is asked for."""
    asked = ["check", "--model", "credit-scoring", "--version", version, "--environment", "staging"]
    done = stack.cli(*asked, "--action", "deploy", "--output", "json")
    return done.returncode, json.loads(done.stdout)


def registered(stack: RunningStack, number: int) -> str:
    """A version from the run that trained version 1, as a pipeline would register it tomorrow."""
    with stack.api() as api:
        known = api.get("models/credit-scoring/versions").json()["results"]
        run = next(each["run_id"] for each in known if str(each["number"]) == "1")
        digest = "sha256:" + hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        body = {"number": number, "digest": digest, "run_id": run, "trained_by": ["yusuf"]}
        made = api.post("models/credit-scoring/versions", json=body)
    assert made.status_code == 201, made.text
    return str(number)


def step(browser: httpx.Client, reference: str, name: str, reason: str) -> httpx.Response:
    """Press the button of the incident's page."""
    page = browser.get(f"/incidents/{reference}").text
    form = {"csrfmiddlewaretoken": token_in(page), "reason": reason}
    return browser.post(f"/incidents/{reference}/{name}", data=form)


@pytest.fixture(scope="module")
def reference(stack: RunningStack) -> Iterator[str]:
    """An incident that Omar opened in the browser; lifted or closed by Dana when all tests are over."""
    omar = stack.browser("omar")
    page = omar.get("/incidents").text
    form = {"csrfmiddlewaretoken": token_in(page), "title": TITLE, "root": ROOT, "since": "2026-01-01"}
    opened = omar.post("/incidents", data={**form, "reason": "Letter of the regulator, 3 March."})
    assert opened.status_code == 200, opened.text[:3000]
    found = re.search(r"/incidents/(INC-[0-9]{4}-[0-9]+)$", str(opened.url))
    assert found, opened.url
    yield found.group(1)
    with stack.api() as api:
        state = api.get(f"incidents/{found.group(1)}").json()["state"]
    if state == "frozen":
        step(stack.browser("dana"), found.group(1), "lift", "The journey is over.")
    if state == "open":
        step(stack.browser("dana"), found.group(1), "close", "The journey is over.")


def test_everything_that_it_reached_is_listed_with_windows_and_laws(stack: RunningStack, reference: str) -> None:
    page = stack.browser("noor").get(f"/incidents/{reference}").text
    for told in ("credit-scoring/1", "prod-uae", "prod-ksa", "UAE, federal law", "Saudi Arabia", "Layla Haddad"):
        assert told in page
    with stack.api() as api:
        found = api.get("blast-radius", params={"subject": ROOT, "since": "2026-01-01T00:00:00Z"}).json()
        table = api.get("blast-radius.csv", params={"subject": ROOT, "since": "2026-01-01T00:00:00Z"}).text
    versions = {each["subject"] for each in found["versions"]}
    assert "version:credit-scoring/1" in versions
    assert not versions & {"version:credit-scoring/2", "version:credit-scoring/3"}
    served = [each for each in found["deployments"] if each["version"] == "version:credit-scoring/1"]
    assert {each["environment"] for each in served} >= {"prod-uae", "prod-ksa"}
    assert {each["perimeter"] for each in served} >= {"AE-federal", "SA"}
    assert any(each["until"] for each in served), "version 1 was replaced in the UAE"
    assert any(each["live"] for each in served), "version 1 serves in Saudi Arabia since the rollback"
    assert found["counts"]["sign_offs"] >= 4
    rows = list(csv.DictReader(io.StringIO(table)))
    assert sum(row["kind"] == "deployment" for row in rows) == found["counts"]["deployments"]


def test_a_window_matters_as_the_command_line_shows(stack: RunningStack, reference: str) -> None:
    done = stack.cli("reached", "--subject", ROOT, "--output", "json")
    assert done.returncode == 0, done.stderr
    ended = [each["until"] for each in json.loads(done.stdout)["deployments"] if each["until"]]
    # What is told is cut to whole seconds, and a deployment counts until the last of them is over.
    since = datetime.fromisoformat(max(ended)) + timedelta(seconds=1)
    later = stack.cli("reached", "--subject", ROOT, "--since", since.isoformat(), "--output", "json")
    assert later.returncode == 0, later.stderr
    still = json.loads(later.stdout)["deployments"]
    assert still
    assert len(still) < len(json.loads(done.stdout)["deployments"])


def test_before_the_freeze_the_gate_says_yes(stack: RunningStack, reference: str) -> None:
    code, answer = gate(stack, "1")
    assert (code, answer["decision"]) == (0, "allow"), answer


def test_frozen_it_is_denied_and_the_incident_cited_while_others_still_pass(
    stack: RunningStack, reference: str
) -> None:
    frozen = step(stack.browser("omar"), reference, "freeze", "Nothing of it may ship.")
    assert "Frozen: every gate check on what it reaches denies." in frozen.text
    code, answer = gate(stack, "1")
    assert (code, answer["decision"], answer["permit"]) == (1, "deny", None)
    cited = answer["findings"][0]
    assert cited["facts"]["id"] == reference
    assert TITLE in cited["message"]
    assert cited["path"][0] == "version:credit-scoring/1"
    assert cited["path"][-1] == ROOT
    assert cited["where"] == f"/incidents/{reference}"
    banner = stack.browser("yusuf").get("/models/credit-scoring/1").text
    assert f"{reference} “{TITLE}” holds it." in banner
    code, answer = gate(stack, "2")
    assert (code, answer["decision"]) == (0, "allow"), answer


def test_what_learns_from_it_tomorrow_is_frozen_too(stack: RunningStack, reference: str) -> None:
    code, answer = gate(stack, registered(stack, 90))
    assert (code, answer["findings"][0]["facts"]["id"]) == (1, reference)


def test_nobody_rolls_back_to_it(stack: RunningStack, reference: str) -> None:
    asked = ["--model", "credit-scoring", "--version", "1", "--environment", "prod-uae", "--reason", "Errors."]
    done = stack.cli("rollback", "record", *asked, "--incident", "INC-77", "--output", "json")
    assert done.returncode == 1, done.stdout + done.stderr
    assert reference in done.stdout + done.stderr


def test_a_second_person_lifts_it_and_all_steps_are_entries(stack: RunningStack, reference: str) -> None:
    mine = step(stack.browser("omar"), reference, "lift", "Enough.")
    assert mine.status_code == 403
    assert "second person" in mine.text
    lifted = step(stack.browser("dana"), reference, "lift", "The consents were found.")
    assert "Lifted: it holds nothing any more." in lifted.text
    code, answer = gate(stack, "1")
    assert (code, answer["decision"]) == (0, "allow"), answer
    noor = stack.browser("noor")
    assert eventually(lambda: "no number yet" not in noor.get(f"/incidents/{reference}").text, seconds=15)
    for event in ("incident.opened", "incident.frozen", "incident.lifted"):
        assert reference in noor.get("/log", params={"event": event}).text
