"""J3, J4, J6: two people sign in the browser, the requester cannot, and the permit deploys exactly once."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from tests.stack import RunningStack, token_in


def promotion_waiting_in(stack: RunningStack, environment: str) -> int:
    """The number of the promotion that waits for signatures there."""
    with stack.api() as api:
        rows = api.get("promotions").json()["results"]
    return next(int(row["id"]) for row in rows if row["environment"] == environment and row["state"] == "in_review")


def gate(stack: RunningStack, environment: str = "prod-uae", version: str = "3") -> tuple[int, dict[str, Any]]:
    done = stack.cli(
        "check",
        "--model",
        "credit-scoring",
        "--version",
        version,
        "--environment",
        environment,
        "--action",
        "deploy",
        "--output",
        "json",
    )
    return done.returncode, json.loads(done.stdout)


def sign(browser: httpx.Client, number: int, password: str, role: str, meaning: str = "approve") -> httpx.Response:
    """Fill in the sign-off form of the page exactly as it was shown."""
    page = browser.get(f"/promotions/{number}").text
    digest = re.search(r'name="subject_digest" value="([^"]+)"', page)
    assert digest, "the page offers no sign-off form"
    form = {"csrfmiddlewaretoken": token_in(page), "subject_digest": digest.group(1), "role": role, "meaning": meaning}
    form |= {"comment": "Compared with version 2 on both hold-outs.", "password": password}
    return browser.post(f"/promotions/{number}/sign", data=form)


@pytest.fixture(scope="module")
def number(stack: RunningStack) -> int:
    """The story's promotion of version 3 to the UAE; Layla signed it already."""
    return promotion_waiting_in(stack, "prod-uae")


def test_it_waits_in_the_queue_of_the_role_that_is_missing(stack: RunningStack, number: int) -> None:
    assert f"/promotions/{number}" in stack.browser("omar").get("/review").text


def test_the_gate_is_pending_until_the_second_role_signs(stack: RunningStack, number: int) -> None:
    code, answer = gate(stack)
    assert code == 3
    assert [each["role"] for each in answer["signoff"]["missing"]] == ["compliance_officer"]


def test_the_page_compares_the_candidate_with_what_serves(stack: RunningStack, number: int) -> None:
    page = stack.browser("omar").get(f"/promotions/{number}").text
    for words in ("auc", "brier", "applications-sa-2026q3", "SA-RES-001"):
        assert words in page


def test_the_requester_has_no_button_and_is_refused_with_the_rule(stack: RunningStack, number: int) -> None:
    browser = stack.browser("yusuf")
    page = browser.get(f"/promotions/{number}").text
    assert 'name="subject_digest"' not in page
    with stack.api() as api:
        digest = api.get(f"promotions/{number}").json()["subject_digest"]
    headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": stack.url}
    body = {"meaning": "approve", "role": "ml_lead", "comment": "Mine.", "subject_digest": digest}
    body["password"] = stack.passwords["yusuf"]
    refused = browser.post(f"/api/v1/promotions/{number}/signoffs", json=body, headers=headers)
    assert refused.status_code == 403, refused.text
    assert refused.json()["code"]
    log = stack.browser("noor").get("/log", params={"event": "signoff.refused"}).text
    assert f"promotion:{number}" in log


def test_an_administrator_cannot_sign_for_another(stack: RunningStack, number: int) -> None:
    assert 'name="subject_digest"' not in stack.browser("amir").get(f"/promotions/{number}").text


def test_a_token_cannot_sign(stack: RunningStack, number: int) -> None:
    with stack.api() as api:
        digest = api.get(f"promotions/{number}").json()["subject_digest"]
        body = {"meaning": "approve", "role": "ml_lead", "comment": "x", "subject_digest": digest, "password": "x"}
        assert api.post(f"promotions/{number}/signoffs", json=body).status_code == 403


def test_a_wrong_password_does_not_sign(stack: RunningStack, number: int) -> None:
    sign(stack.browser("omar"), number, "not the password", "compliance_officer")
    assert gate(stack)[0] == 3


def test_the_second_signature_allows_and_the_permit_deploys_once(stack: RunningStack, number: int) -> None:
    signed = sign(stack.browser("omar"), number, stack.passwords["omar"], "compliance_officer")
    assert signed.status_code == 200, signed.text[:3000]
    before = serving(stack)
    code, answer = gate(stack)
    assert (code, answer["decision"]) == (0, "allow")
    permit = answer["permit"]["secret"]
    record = ("deploy", "record", "--decision", answer["decision_id"], "--permit", permit, "--environment", "prod-uae")
    first = stack.cli(*record)
    assert first.returncode == 0, first.stdout + first.stderr
    again = stack.cli(*record, "--idempotency-key", "another-run")
    assert again.returncode == 1, again.stdout + again.stderr
    assert serving(stack)["versions"] == ["3"]
    assert before["versions"] == ["2"]
    assert serving(stack, as_of=str(before["at"]))["versions"] == ["2"]
    timeline = stack.browser("noor").get(f"/promotions/{number}").text
    for sentence in (
        "requested a promotion",
        "signed off",
        "found the promotion approved",
        "deployed what was promoted",
    ):
        assert sentence in timeline


def serving(stack: RunningStack, as_of: str = "") -> dict[str, Any]:
    """Which versions serve in the UAE, and the moment for which the answer holds."""
    from datetime import UTC, datetime

    with stack.api() as api:
        answer = api.get("environments/prod-uae/serving", params={"as_of": as_of} if as_of else {})
    assert answer.status_code == 200, answer.text
    rows = answer.json()["serving"]
    return {"versions": [str(row["version"]).rpartition("/")[2] for row in rows], "at": datetime.now(UTC).isoformat()}


def test_every_line_of_the_history_becomes_an_entry_with_a_number(stack: RunningStack, number: int) -> None:
    from tests.stack import eventually

    browser = stack.browser("noor")
    assert eventually(lambda: "no number yet" not in browser.get(f"/promotions/{number}").text, seconds=15)
