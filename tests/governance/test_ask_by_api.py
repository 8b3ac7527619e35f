"""The API as a pipeline meets it: answers, refusals, idempotency."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit import queries as log
from governance.models import IdempotencyRecord
from governance.models.decision import Decision
from governance.models.promotion import Promotion
from registry import environments
from registry.models import Deployment
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank

Api = Callable[[str], Client]
CHECKS = "/api/v1/gate/checks"


def _post(client: Client, path: str, body: object, **headers: str) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json", headers=headers)


def _question(bank: Bank, place: str = "prod-uae", **more: object) -> dict[str, object]:
    return {
        "model": {"name": "credit-scoring", "version": "14", "digest": bank.new.digest},
        "environment": place,
        "action": "promote",
        **more,
    }


def test_a_denial_answers_200_with_each_reason_who_can_supply_it_and_where(bank: Bank, api_for: Api) -> None:
    answer = _post(api_for("ci"), CHECKS, _question(bank, "dr-frankfurt"))
    body = answer.json()
    assert (answer.status_code, body["decision"], body["permit"]) == (200, "deny", None)
    failed = [each for each in body["findings"] if each["outcome"] == "fail"]
    assert failed
    assert all(each["who"] and each["where"] and each["remedy"] for each in failed)
    assert body["policy"]
    assert all(each["digest"].startswith("sha256:") for each in body["policy"])
    stored = Decision.objects.get(public_id=body["decision_id"])
    assert stored.facts_digest == body["facts_digest"]
    again = api_for("ci").get(f"/api/v1/decisions/{body['decision_id']}").json()
    assert again["findings"] == body["findings"]
    assert again["subject_digest"] == body["subject_digest"]


def test_pending_names_the_missing_roles_and_the_page_where_to_request(bank: Bank, api_for: Api) -> None:
    body = _post(api_for("ci"), CHECKS, _question(bank)).json()
    assert body["decision"] == "pending"
    assert {each["role"] for each in body["signoff"]["missing"]} == {"ml_lead", "compliance_officer"}
    assert "/promotions/new?version=version:credit-scoring/14&environment=prod-uae" in body["signoff"]["url"]


def test_allow_carries_a_permit_that_records_one_deploy(bank: Bank, api_for: Api) -> None:
    scene.approved(bank)
    ci = api_for("ci")
    body = _post(ci, CHECKS, _question(bank)).json()
    assert body["decision"] == "allow"
    record = {"decision_id": body["decision_id"], "permit": body["permit"]["secret"], "environment": "prod-uae"}
    first, second = _post(ci, "/api/v1/deployments", record), _post(ci, "/api/v1/deployments", record)
    assert (first.status_code, second.status_code) == (201, 409)
    assert second.json()["code"] == "permit.used"
    assert Deployment.objects.get().decision_id == body["decision_id"]


def test_the_same_key_and_body_answer_the_same_bytes_and_record_once(bank: Bank, api_for: Api) -> None:
    ci = api_for("ci")
    first = _post(ci, CHECKS, _question(bank), **{"Idempotency-Key": "run-1/1/gate"})
    second = _post(ci, CHECKS, _question(bank), **{"Idempotency-Key": "run-1/1/gate"})
    other = _post(ci, CHECKS, _question(bank, "staging"), **{"Idempotency-Key": "run-1/1/gate"})
    assert first.content == second.content
    assert Decision.objects.count() == 1
    assert other.status_code == 409


def test_a_kept_allow_is_repeated_until_its_permit_was_used(bank: Bank, api_for: Api) -> None:
    scene.approved(bank)
    ci, key = api_for("ci"), {"Idempotency-Key": "run-1/1/gate"}
    first = _post(ci, CHECKS, _question(bank), **key)
    assert _post(ci, CHECKS, _question(bank), **key).content == first.content
    body = first.json()
    record = {"decision_id": body["decision_id"], "permit": body["permit"]["secret"], "environment": "prod-uae"}
    assert _post(ci, "/api/v1/deployments", record).status_code == 201
    used = _post(ci, CHECKS, _question(bank), **key)
    assert (used.status_code, used.json()["code"]) == (409, "idempotency.outdated")
    assert "fresh key" in used.json()["detail"]


@pytest.mark.parametrize("mode", ["enforce", "dry_run"])
def test_a_kept_allow_is_no_answer_after_its_end(bank: Bank, api_for: Api, mode: str) -> None:
    scene.approved(bank)
    ci, key = api_for("ci"), {"Idempotency-Key": "run-1/1/gate"}
    first = _post(ci, CHECKS, _question(bank, mode=mode), **key).json()
    assert first["decision"] == "allow"
    end = first["permit"]["expires_at"] if first["permit"] else first["valid_until"]
    kept = IdempotencyRecord.objects.get()
    assert kept.stale_at is not None
    assert abs(kept.stale_at - datetime.fromisoformat(end)) < timedelta(seconds=1)
    IdempotencyRecord.objects.update(stale_at=timezone.now())
    over = _post(ci, CHECKS, _question(bank, mode=mode), **key)
    assert (over.status_code, over.json()["code"]) == (409, "idempotency.outdated")


def test_a_dry_run_answers_the_verdict_without_a_decision(bank: Bank, api_for: Api) -> None:
    body = _post(api_for("ci"), CHECKS, _question(bank, "dr-frankfurt", mode="dry_run")).json()
    assert (body["decision"], body["decision_id"], body["mode"]) == ("deny", None, "dry_run")
    assert body["findings"]
    assert not Decision.objects.exists()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model": {"name": "nobody", "version": "1"}}, 404),
        ({"model": {"name": "credit-scoring", "version": "99"}}, 404),
        ({"model": {"name": "credit-scoring", "version": "x"}}, 400),
        ({"model": {"name": "credit-scoring"}}, 400),
        ({"model": {"name": "credit-scoring", "version": "14", "digest": "sha256:" + "0" * 64}}, 409),
        ({"model": {"name": "credit-scoring", "version": "14", "digest": "md5:1"}}, 400),
        ({"environment": "mars"}, 404),
        ({"action": "delete"}, 400),
        ({"mode": "maybe"}, 400),
        ({"target": {"provider_region": ["aws:us-east-1"]}}, 409),
        ({"target": {"endpoint": "https://elsewhere.example/invocations"}}, 409),
        ({"target": {"endpoint": ""}}, 400),
        ({"rollout": {"strategy": "canary"}}, 400),
        ({"rollout": {"strategy": "ab", "weight": None}}, 400),
        ({"rollout": {"strategy": "canary", "weight": 5, "step": 1}}, 400),
        ({"rollout": {"step": 0}}, 400),
        ({"ci": {"sha": ["not", "text"]}}, 400),
        ({"enviroment": "prod-uae"}, 400),
        ({"model": "credit-scoring"}, 400),
        ({"wait_s": 51}, 400),
        ({"environment": "prod\u0000uae"}, 400),
    ],
)
def test_what_the_gate_cannot_understand_is_refused_with_a_sentence_and_never_allowed(
    bank: Bank, api_for: Api, change: dict[str, object], status: int
) -> None:
    answer = _post(api_for("ci"), CHECKS, {**_question(bank), **change})
    assert answer.status_code == status, answer.content
    body = answer.json()
    assert body["detail"]
    assert "decision" not in body
    assert not Decision.objects.exists()


def test_an_endpoint_is_compared_with_those_that_the_registry_knows_there(bank: Bank, api_for: Api) -> None:
    for name, place in (("scoring-uae", bank.uae), ("scoring-staging", bank.staging)):
        environments.register_endpoint(
            name,
            environment=place,
            version=bank.old,
            url=f"http://127.0.0.1:9001/{name}",
            output={"kind": "probability", "of_class": "1"},
            by=scene.SET_UP,
        )
    ci = api_for("ci")
    for named in ("scoring-uae", "http://127.0.0.1:9001/scoring-uae", "http://127.0.0.1:9001/scoring-uae/"):
        assert _post(ci, CHECKS, _question(bank, target={"endpoint": named})).status_code == 200
    other = _post(ci, CHECKS, _question(bank, target={"endpoint": "http://127.0.0.1:9001/scoring-staging"}))
    assert (other.status_code, other.json()["code"]) == (409, "target.differs")
    assert "http://127.0.0.1:9001/scoring-uae" in other.json()["detail"]


@pytest.mark.parametrize("raw", ["", "{", "[]", "null", '"allow"', '{"model": NaN}'])
def test_a_body_that_is_no_question_is_refused(bank: Bank, api_for: Api, raw: str) -> None:
    answer = api_for("ci").post(CHECKS, raw, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert not Decision.objects.exists()


def test_without_a_token_or_the_right_nobody_asks(bank: Bank, client: Client) -> None:
    assert _post(client, CHECKS, _question(bank)).status_code == 401
    weak = personas.token_of("ci", scopes=("registry.read",))
    assert _post(Client(headers={"Authorization": f"Bearer {weak}"}), CHECKS, _question(bank)).status_code == 403
    forged = Client(headers={"Authorization": "Bearer csn_nothing"})
    assert _post(forged, CHECKS, _question(bank)).status_code == 401


def test_a_token_cannot_sign_and_the_attempt_is_in_the_log(bank: Bank, api_for: Api) -> None:
    promotion = scene.request(bank)
    body = {
        "meaning": "approve",
        "role": "ml_lead",
        "comment": "Looks fine.",
        "subject_digest": promotion.subject_digest,
        "password": personas.PASSWORD,
    }
    answer = _post(api_for("layla"), f"/api/v1/promotions/{promotion.pk}/signoffs", body)
    assert answer.status_code == 403
    assert log.history(promotion.subject)[0].event == "signoff.refused"
    assert not promotion.signoffs.exists()


def test_the_requester_gets_403_with_the_rule_by_api_whatever_their_password(
    bank: Bank, client_for: Callable[[str], Client]
) -> None:
    promotion = scene.request(bank)
    for password in (personas.PASSWORD, "wrong"):
        body = {
            "meaning": "approve",
            "role": "ml_lead",
            "comment": "Mine, and good.",
            "subject_digest": promotion.subject_digest,
            "password": password,
        }
        answer = _post(client_for("yusuf"), f"/api/v1/promotions/{promotion.pk}/signoffs", body)
        assert (answer.status_code, answer.json()["code"]) == (403, "signoff.requester")


def test_nobody_signs_in_another_persons_name(bank: Bank, client_for: Callable[[str], Client]) -> None:
    promotion = scene.request(bank)
    body = {
        "meaning": "approve",
        "role": "ml_lead",
        "comment": "For Layla.",
        "subject_digest": promotion.subject_digest,
        "password": personas.PASSWORD,
    }
    path = f"/api/v1/promotions/{promotion.pk}/signoffs"
    amir = client_for("amir")
    assert _post(amir, path, {**body, "signer": scene.actor("layla").id}).status_code == 400
    refused = _post(amir, path, body)
    assert (refused.status_code, refused.json()["code"]) == (403, "signoff.role")
    assert not promotion.signoffs.exists()


def test_two_people_sign_by_api_with_session_and_password(bank: Bank, client_for: Callable[[str], Client]) -> None:
    promotion = scene.request(bank)
    for name, role in (("layla", "ml_lead"), ("omar", "compliance_officer")):
        body = {
            "meaning": "approve",
            "role": role,
            "comment": "Checked.",
            "subject_digest": promotion.subject_digest,
            "password": personas.PASSWORD,
        }
        answer = _post(client_for(name), f"/api/v1/promotions/{promotion.pk}/signoffs", body)
        assert answer.status_code == 201, answer.content
    assert answer.json()["state"] == "approved"
    assert [each["role"] for each in answer.json()["signoffs"]] == ["ml_lead", "compliance_officer"]


def test_promotions_are_requested_listed_read_and_withdrawn(bank: Bank, api_for: Api) -> None:
    yusuf = api_for("yusuf")
    asked = {"model": {"name": "credit-scoring", "version": "14"}, "environment": "prod-uae", "reason": "Better."}
    made = _post(yusuf, "/api/v1/promotions", asked)
    assert (made.status_code, made.json()["state"]) == (201, "in_review")
    number = made.json()["id"]
    assert made["Location"] == f"/api/v1/promotions/{number}"
    assert [each["id"] for each in yusuf.get("/api/v1/promotions?state=in_review").json()["results"]] == [number]
    assert yusuf.get("/api/v1/promotions?state=odd").status_code == 400
    assert yusuf.get("/api/v1/promotions/999999").status_code == 404
    path = f"/api/v1/promotions/{number}/withdraw"
    assert _post(yusuf, path, {"reason": "Found a bug."}).json()["state"] == "withdrawn"
    assert _post(yusuf, path, {"reason": "Again."}).status_code == 409


def test_a_rollback_needs_its_reason_and_incident(bank: Bank, api_for: Api) -> None:
    body = {"model": {"name": "credit-scoring", "version": "13"}, "environment": "prod-uae", "reason": "x"}
    assert _post(api_for("ci"), "/api/v1/rollbacks", body).status_code == 400
    never = _post(api_for("ci"), "/api/v1/rollbacks", {**body, "incident": "INC-1"})
    assert (never.status_code, never.json()["code"]) == (409, "rollback.never_served")


def test_safeguards_are_recorded_and_approved_by_two_people(bank: Bank, api_for: Api) -> None:
    body = {
        "reference": "TS-9",
        "type": "SCC",
        "law": "AE-federal",
        "document": "SCC with Frankfurt",
        "subjects": ["dataset:loans-2026q3"],
        "regions": ["azure:germanywestcentral"],
        "expires_at": "2099-01-01T00:00:00Z",
    }
    assert _post(api_for("dana"), "/api/v1/transfers", body).status_code == 201
    assert _post(api_for("dana"), "/api/v1/transfers/TS-9/approve", {}).status_code == 403
    assert _post(api_for("omar"), "/api/v1/transfers/TS-9/approve", {}).json()["status"] == "active"
    past = {**body, "reference": "TS-10", "expires_at": "2020-01-01T00:00:00Z"}
    assert _post(api_for("dana"), "/api/v1/transfers", past).status_code == 400
    nowhere = {**body, "reference": "TS-12", "regions": ["nowhere:1"]}
    assert _post(api_for("dana"), "/api/v1/transfers", nowhere).status_code == 400
    assert _post(api_for("yusuf"), "/api/v1/transfers", {**body, "reference": "TS-11"}).status_code == 403
    assert [each["reference"] for each in api_for("noor").get("/api/v1/transfers").json()["results"]] == ["TS-9"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"subjects": ["dataset:loans-2026q3", "dataset:loans-2026q4"]}, "dataset:loans-2026q4"),
        ({"subjects": ["environment:prod-mars"]}, "environment:prod-mars"),
        ({"subjects": ["version:credit-scoring/14"]}, "version:credit-scoring/14"),
        ({"subjects": ["loans-2026q3"]}, "loans-2026q3"),
        ({"expires_at": "2099-01-01T00:00:00"}, "offset"),
        ({"expires_at": "2099-01-01"}, ""),
        ({"risk_assessment_at": "2026-01-01T00:00:00"}, "offset"),
    ],
)
def test_a_safeguard_for_something_unknown_or_with_an_unclear_end_is_refused(
    bank: Bank, api_for: Api, change: dict[str, object], named: str
) -> None:
    body = {
        "reference": "TS-9",
        "type": "SCC",
        "law": "AE-federal",
        "document": "SCC with Frankfurt",
        "subjects": ["dataset:loans-2026q3", "environment:dr-frankfurt"],
        "regions": ["azure:germanywestcentral"],
        "expires_at": "2099-01-01T00:00:00+04:00",
    }
    refused = _post(api_for("dana"), "/api/v1/transfers", {**body, **change})
    assert refused.status_code == 400
    assert named in json.dumps(refused.json()["errors"])
    assert _post(api_for("dana"), "/api/v1/transfers", body).status_code == 201


def test_an_idempotent_refusal_keeps_the_entry_of_the_attempt(bank: Bank, api_for: Api) -> None:
    scene.approved(bank)
    ci = api_for("ci")
    body = _post(ci, CHECKS, _question(bank)).json()
    record = {"decision_id": body["decision_id"], "permit": "cspermit_" + "A" * 43, "environment": "prod-uae"}
    refused = _post(ci, "/api/v1/deployments", record, **{"Idempotency-Key": "deploy-1"})
    assert refused.status_code == 403
    promotion = Promotion.objects.get()
    assert log.history(promotion.subject)[0].event == "permit.refused"
