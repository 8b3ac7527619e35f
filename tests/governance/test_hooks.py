"""Flagger's webhooks and Argo's web metric: 200 is an explicit yes, and nothing is guessed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from audit import queries as log
from governance.models.decision import Decision
from governance.models.permit import Permit
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank

Api = Callable[[str], Client]
GATES = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion", "rollback")
#: What Flagger 1.x sends (pkg/apis/flagger/v1beta1/canary.go, CanaryWebhookPayload).
PAYLOAD = {"name": "scoring", "namespace": "models", "phase": "Progressing", "checksum": "85d557f47b"}


def _call(client: Client, hook: str, *, version: str = "14", place: str = "prod-uae", **metadata: str) -> Any:
    told = {"model": "credit-scoring", "version": version, "environment": place, **metadata}
    body = {**PAYLOAD, "metadata": {name: value for name, value in told.items() if value}}
    return client.post(f"/hooks/flagger/{hook}", json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("hook", GATES[:3])
def test_a_gate_halts_until_everybody_signed_and_then_goes_on(bank: Bank, api_for: Api, hook: str) -> None:
    waiting = _call(api_for("ci"), hook)
    assert (waiting.status_code, waiting.json()["decision"]) == (409, "pending")
    scene.approved(bank)
    answer = _call(api_for("ci"), hook)
    assert (answer.status_code, answer.json()["decision"]) == (200, "allow")
    stored = Decision.objects.get(public_id=answer.json()["decision_id"])
    assert stored.action == ("promote" if hook == "confirm-rollout" else "increase")
    assert stored.ci == {
        "hook": f"flagger/{hook}",
        "canary": "models/scoring",
        "phase": "Progressing",
        "checksum": "85d557f47b",
    }
    assert not Permit.objects.exists()


@pytest.mark.parametrize("hook", GATES[:3])
def test_a_denied_version_halts(bank: Bank, api_for: Api, hook: str) -> None:
    answer = _call(api_for("ci"), hook, place="dr-frankfurt")
    assert (answer.status_code, answer.json()["decision"]) == (409, "deny")


def test_traffic_may_grow_once_the_promotion_is_deployed(bank: Bank, api_for: Api) -> None:
    from governance import gate, rollouts

    scene.approved(bank)
    allowed = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    assert allowed.decision is not None
    rollouts.record_deploy(
        allowed.decision.public_id, secret=allowed.secret, environment="prod-uae", by=scene.actor("ci")
    )
    for hook in ("confirm-traffic-increase", "confirm-promotion"):
        assert _call(api_for("ci"), hook).status_code == 200


def test_only_a_denial_rolls_back(bank: Bank, api_for: Api) -> None:
    """200 means «roll back now»: neither a pending version, nor one that may run, nor doubt is rolled back."""
    assert _call(api_for("ci"), "rollback").status_code == 409
    scene.approved(bank)
    assert _call(api_for("ci"), "rollback").status_code == 409
    denied = _call(api_for("ci"), "rollback", place="dr-frankfurt")
    assert (denied.status_code, denied.json()["decision"], denied.json()["action"]) == (200, "deny", "run")


@pytest.mark.parametrize("hook", GATES)
def test_what_cannot_be_decided_is_no_200(bank: Bank, api_for: Api, hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from governance import policies

    def lost(*_args: object, **_more: object) -> None:
        raise policies.MissingFact("flow.kind", "dataset:loans-2026q3", "The kind is missing.")

    monkeypatch.setattr(policies, "freeze", lost)
    answer = _call(api_for("ci"), hook)
    assert (answer.status_code, answer.json()["decision"]) == (503, "error")


@pytest.mark.parametrize("hook", [*GATES, "event"])
@pytest.mark.parametrize("lacking", ["model", "version", "environment"])
def test_missing_metadata_are_named_and_nothing_is_decided(bank: Bank, api_for: Api, hook: str, lacking: str) -> None:
    known = Decision.objects.count()
    answer = _call(api_for("ci"), hook, **{"place" if lacking == "environment" else lacking: ""})
    assert answer.status_code == 400
    assert lacking in answer.json()["detail"]
    assert "models/scoring" in answer.json()["detail"]
    assert Decision.objects.count() == known


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"allow"', b'{"name": 1}', b'{"name": "a", "namespace": "b", "metadata": []}', b"\xff\xfe"],
)
def test_what_is_no_payload_of_flagger_is_refused(bank: Bank, api_for: Api, body: bytes) -> None:
    for hook in (*GATES, "event"):
        answer = api_for("ci").post(f"/hooks/flagger/{hook}", body, content_type="application/json")
        assert 400 <= answer.status_code < 500


def test_unknown_versions_and_places_are_not_found(bank: Bank, api_for: Api) -> None:
    for answer in (
        _call(api_for("ci"), "rollback", version="99"),
        _call(api_for("ci"), "rollback", place="nowhere"),
        _call(api_for("ci"), "rollback", model="nothing"),
    ):
        assert answer.status_code == 404
    other = _call(api_for("ci"), "confirm-rollout", digest=scene.digest_of("another"))
    assert other.status_code in (404, 409)


def test_the_token_comes_as_bearer_or_as_the_password_of_the_address(bank: Bank) -> None:
    scene.approved(bank)
    secret = personas.token_of("ci")

    def status(header: str) -> int:
        return int(_call(Client(headers={"Authorization": header}), "confirm-rollout").status_code)

    def basic(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    assert status(f"Bearer {secret}") == 200
    assert status(basic(f"flagger:{secret}")) == 200
    for wrong in (basic("flagger:wrong"), basic(secret), "Basic ???", basic("flagger:"), "Basic", "Digest x", ""):
        assert status(wrong) == 401
    weak = personas.token_of("ci", scopes=("registry.read",))
    assert status(basic(f"flagger:{weak}")) == 403


def test_a_browser_session_asks_no_hook(bank: Bank, client_for: Callable[[str], Client]) -> None:
    assert _call(client_for("layla"), "confirm-rollout").status_code == 401


def test_an_event_is_recorded_and_changes_nothing(bank: Bank, api_for: Api) -> None:
    promotion = scene.request(bank)
    known = Decision.objects.count()
    answer = _call(api_for("ci"), "event", eventMessage="Advance scoring weight 20", eventType="Normal", timestamp="1")
    assert answer.status_code == 202
    entry = next(row for row in log.history(bank.new.subject) if row.event == "rollout.reported")
    assert entry.facts["canary"] == "models/scoring"
    assert entry.facts["type"] == "Normal"
    promotion.refresh_from_db()
    assert promotion.state == "in_review"
    assert Decision.objects.count() == known


def test_other_hooks_and_methods_do_not_exist(bank: Bank, api_for: Api) -> None:
    assert _call(api_for("ci"), "pre-rollout").status_code == 404
    assert api_for("ci").get("/hooks/flagger/rollback").status_code == 405


def test_argo_measures_the_decision(bank: Bank, api_for: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"model": {"name": "credit-scoring", "version": "14"}, "environment": "prod-uae"}

    def measure(**more: object) -> Any:
        return api_for("ci").post("/hooks/argo", json.dumps({**body, **more}), content_type="application/json")

    assert (measure().status_code, measure().json()["decision"]) == (200, "pending")
    scene.approved(bank)
    assert (measure().status_code, measure().json()["decision"]) == (200, "allow")
    assert measure(environment="dr-frankfurt").json()["decision"] == "deny"
    assert measure(action="rollback").status_code == 400
    assert measure(version="14").status_code == 400
    from governance import policies

    def lost(*_args: object, **_more: object) -> None:
        raise policies.MissingFact("flow.kind", "dataset:loans-2026q3", "The kind is missing.")

    monkeypatch.setattr(policies, "freeze", lost)
    assert measure().status_code == 503
