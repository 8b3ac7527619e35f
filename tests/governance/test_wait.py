"""Waiting for a pending decision: over HTTP, with real commits, and never at the cost of a connection."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from audit.actors import Actor
from governance import tokens, waiting
from governance.models.decision import Decision
from governance.models.permit import Permit
from governance.models.token import ApiToken
from tests.governance import scene
from tests.governance.scene import Bank

CHECKS = "/api/v1/gate/checks"
Api = Callable[[str], Client]


@pytest.fixture
def bank(committed_db: Any) -> Bank:
    return scene.build()


def _ask(client: Client, bank: Bank, **more: object) -> dict[str, Any]:
    body = {"model": {"name": "credit-scoring", "version": "14"}, "environment": "prod-uae", **more}
    answer = client.post(CHECKS, json.dumps(body), content_type="application/json", headers={"Idempotency-Key": "k"})
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def _wait(client: Client, decision: str, seconds: int) -> Any:
    return client.get(f"{CHECKS}/{decision}/wait?timeout={seconds}")


def _meanwhile(act: Callable[[], object]) -> threading.Thread:
    """``act`` in a thread of its own, once the request waits: it has given its connection back by then."""

    def later() -> None:
        while waiting._PLACES._value == waiting._PLACES._initial_value:  # type: ignore[attr-defined]
            time.sleep(0.02)
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=later)
    thread.start()
    return thread


def test_a_waiting_check_is_allowed_as_soon_as_the_last_signature_is_there(bank: Bank, api_for: Api) -> None:
    promotion = scene.request(bank)
    scene.sign(promotion, "layla", "ml_lead")
    signing = _meanwhile(lambda: scene.sign(promotion, "omar", "compliance_officer"))
    body = _ask(api_for("ci"), bank, wait_s=50)
    signing.join()
    assert (body["decision"], bool(body["permit"]["secret"])) == ("allow", True)
    newest = Decision.objects.first()
    assert newest is not None
    assert newest.public_id == body["decision_id"]
    again = _ask(api_for("ci"), bank, wait_s=50)  # what is kept for the key is the first answer: an old no
    assert (again["decision"], again["permit"]) == ("pending", None)


def test_a_veto_ends_the_wait_as_a_denial(bank: Bank, api_for: Api) -> None:
    promotion = scene.request(bank)
    pending = _ask(api_for("ci"), bank)
    signing = _meanwhile(lambda: scene.sign(promotion, "omar", "compliance_officer", meaning="reject"))
    body = _wait(api_for("ci"), pending["decision_id"], 50).json()
    signing.join()
    assert (body["decision"], body["permit"]) == ("deny", None)
    assert not Permit.objects.exists()


def test_time_over_answers_pending_and_decides_nothing_anew(bank: Bank, api_for: Api) -> None:
    promotion = scene.request(bank)
    scene.sign(promotion, "layla", "ml_lead")
    pending = _ask(api_for("ci"), bank)
    time.sleep(1.1)  # decisions carry whole seconds: in the same second, whether it changed would be in doubt
    pending = _wait(api_for("ci"), pending["decision_id"], 0).json()
    known = Decision.objects.count()
    body = _wait(api_for("ci"), pending["decision_id"], 1).json()
    assert (body["decision"], body["decision_id"]) == ("pending", pending["decision_id"])
    assert Decision.objects.count() == known


def test_what_changed_before_the_wait_began_is_decided_at_once(bank: Bank, api_for: Api) -> None:
    pending = _ask(api_for("ci"), bank)
    assert pending["decision"] == "pending"
    scene.approved(bank)
    body = _wait(api_for("ci"), pending["decision_id"], 50).json()
    assert body["decision"] == "allow"
    assert body["decision_id"] != pending["decision_id"]


def test_a_waiter_holds_no_connection(bank: Bank, api_for: Api, committed_db: Any) -> None:
    scene.request(bank)
    pending = _ask(api_for("ci"), bank)
    seen: list[int] = []

    def look() -> None:
        with psycopg.connect(committed_db.admin_url) as other:
            for _ in range(20):
                row = other.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND usename = 'countersign_app' AND state LIKE 'idle%'"
                ).fetchone()
                seen.append(row[0] if row else -1)
                time.sleep(0.05)

    looking = _meanwhile(look)
    connection.close()
    _wait(api_for("ci"), pending["decision_id"], 3)
    looking.join()
    assert min(seen) == 0
    assert sorted(seen)[len(seen) // 2] == 0


def test_when_all_places_are_taken_the_answer_is_pending_at_once(bank: Bank, api_for: Api) -> None:
    scene.request(bank)
    pending = _ask(api_for("ci"), bank)
    places = [waiting.place() for _ in range(waiting._PLACES._initial_value)]  # type: ignore[attr-defined]
    assert all(each.__enter__() for each in places)
    try:
        answer = _wait(api_for("ci"), pending["decision_id"], 50)
    finally:
        for each in places:
            each.__exit__(None, None, None)
    assert answer.json()["decision"] == "pending"
    assert answer["Retry-After"]


def test_a_token_that_is_revoked_meanwhile_gets_no_permit(bank: Bank, api_for: Api) -> None:
    promotion = scene.request(bank)
    scene.sign(promotion, "layla", "ml_lead")
    client = api_for("ci")
    pending = _ask(client, bank)

    def revoke_and_sign() -> None:
        for token in ApiToken.objects.all():
            tokens.revoke(token, by=Actor.system("tests"))
        scene.sign(promotion, "omar", "compliance_officer")

    acting = _meanwhile(revoke_and_sign)
    answer = _wait(client, pending["decision_id"], 50)
    acting.join()
    assert answer.status_code == 401
    assert not Permit.objects.exists()


@pytest.mark.parametrize("timeout", ["51", "-1", "soon", ""])
def test_a_time_that_is_none_is_refused(bank: Bank, api_for: Api, timeout: str) -> None:
    pending = _ask(api_for("ci"), bank)
    answer = api_for("ci").get(f"{CHECKS}/{pending['decision_id']}/wait?timeout={timeout}")
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_a_dry_run_cannot_wait_and_an_unknown_decision_is_not_found(bank: Bank, api_for: Api) -> None:
    body = {"model": {"name": "credit-scoring", "version": "14"}, "environment": "prod-uae"}
    asked = json.dumps({**body, "mode": "dry_run", "wait_s": 5})
    assert api_for("ci").post(CHECKS, asked, content_type="application/json").status_code == 400
    assert _wait(api_for("ci"), "dec_none", 1).status_code == 404
