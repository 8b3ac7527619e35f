"""Permits that verify without the server: signed, for one thing, used once whichever way."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from audit import queries as log
from audit.refusals import Conflict, Refusal
from governance import gate, keys, permit_tokens, permits, promotions, rollouts
from governance.models import Decision, Permit
from governance.signing import SigningKey, unpadded
from governance.undeployed import undeployed
from registry import environments
from registry.models import Deployment
from tests import personas
from tests.conftest import CommittedDatabase
from tests.governance import scene
from tests.governance.scene import Bank

Api = Callable[[str], Client]


def allowed(bank: Bank, place: str = "staging") -> gate.Answer:
    answer = gate.check(bank.new, {"staging": bank.staging, "prod-uae": bank.uae}[place], by=scene.actor("ci"))
    assert answer.permit is not None
    return answer


def told(answer: gate.Answer) -> dict[str, Any]:
    return dict(permit_tokens.read(answer.secret).told)


def number(answer: gate.Answer) -> str:
    assert answer.decision is not None
    return answer.decision.public_id


def record(answer: gate.Answer, secret: str = "", environment: str = "staging") -> Deployment:
    secret = secret or answer.secret
    return rollouts.record_deploy(number(answer), secret=secret, environment=environment, by=scene.actor("ci"))


def claim(answer: gate.Answer, secret: str = "", environment: str = "staging", **more: str) -> Permit:
    secret = secret or answer.secret
    return rollouts.claim(number(answer), secret=secret, environment=environment, by=scene.actor("ci"), **more)


def consume(client: Client, answer: gate.Answer, **change: object) -> Any:
    body = {"permit": answer.secret, "environment": "staging", **change}
    return client.post(f"/api/v1/permits/{number(answer)}/consume", body, content_type="application/json")


def code_of(tried: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as refusal:
        tried()
    assert refusal.value.sentence
    return refusal.value.code


def test_a_permit_says_what_it_permits_and_is_signed(bank: Bank) -> None:
    answer = allowed(bank)
    token, key = permit_tokens.read(answer.secret), keys.signer()
    assert token.signed_by(key.public_key)
    decision = answer.decision
    assert decision is not None
    assert answer.permit is not None
    assert {name: value for name, value in token.told.items() if name != "nonce"} == {
        "action": "promote",
        "decision": decision.public_id,
        "version": "credit-scoring/14",
        "digest": bank.new.digest,
        "environment": "staging",
        "subject_digest": decision.subject_digest,
        "issued_at": answer.permit.issued_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "expires_at": answer.permit.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "kid": key.kid,
    }
    assert len(base64.urlsafe_b64decode(token.told["nonce"] + "==")) == 16
    assert token.told["nonce"] != told(allowed(bank))["nonce"]
    assert answer.secret not in str(Permit.objects.values())
    (issued,) = [row for row in log.history(decision.subject) if row.event == "permit.issued"]
    assert issued.facts["kid"] == key.kid


def test_each_way_in_which_a_permit_is_wrong_has_its_own_code_and_is_in_the_log(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, other = allowed(bank), allowed(bank)
    foreign = permit_tokens.write(told(answer), SigningKey.of_seed(os.urandom(32)))
    stolen = permit_tokens.write(told(answer), keys.signer())
    token = permit_tokens.read(answer.secret)
    longer = json.dumps({**token.told, "expires_at": "2099-01-01T00:00:00Z"}, sort_keys=True, separators=(",", ":"))
    altered = f"{permits.PREFIX}{unpadded(longer.encode())}.{unpadded(token.signature)}"
    under_our_name = permit_tokens.write(told(answer), SigningKey.of_seed(os.urandom(32)))
    payload = json.dumps(
        {**permit_tokens.read(under_our_name).told, "kid": keys.signer().kid}, sort_keys=True, separators=(",", ":")
    )
    renamed = f"{permits.PREFIX}{unpadded(payload.encode())}.{under_our_name.rpartition('.')[2]}"
    codes = {
        "foreign": code_of(lambda: record(answer, foreign)),
        "stolen": code_of(lambda: record(answer, stolen)),
        "altered": code_of(lambda: record(answer, altered)),
        "renamed": code_of(lambda: record(answer, renamed)),
        "cut": code_of(lambda: record(answer, answer.secret[:-1])),
        "of another decision": code_of(lambda: record(answer, other.secret)),
        "elsewhere": code_of(lambda: record(answer, environment="prod-uae")),
        "other files": code_of(lambda: claim(answer, digest="sha256:" + "0" * 64)),
        "no permit": code_of(lambda: record(answer, "csn_token")),
    }
    assert codes == {
        "foreign": "permit.foreign_key",
        "stolen": "permit.forged",
        "altered": "permit.altered",
        "renamed": "permit.altered",
        "cut": "permit.unknown",
        "of another decision": "permit.unknown",
        "elsewhere": "permit.environment",
        "other files": "permit.digest",
        "no permit": "permit.malformed",
    }
    assert answer.decision is not None
    rules = [row.facts["rule"] for row in log.history(answer.decision.subject) if row.event == "permit.refused"]
    assert sorted(rules) == sorted(code for code in codes.values() if code != "permit.malformed")
    assert not Deployment.objects.exists()
    assert record(answer).version == bank.new
    assert code_of(lambda: record(answer)) == "permit.used"
    monkeypatch.setattr(permits, "LIFETIME", timedelta())
    late = allowed(bank)
    assert code_of(lambda: record(late)) == "permit.expired"


def test_no_byte_of_a_permit_can_be_changed(bank: Bank) -> None:
    answer = allowed(bank)
    key = keys.signer().public_key
    for position in range(len(answer.secret)):
        for flip in (1, 2, 32):
            changed = (
                answer.secret[:position] + chr(ord(answer.secret[position]) ^ flip) + answer.secret[position + 1 :]
            )
            try:
                held = permit_tokens.read(changed).signed_by(key)
            except permit_tokens.NotAPermit:
                held = False
            assert not held, position


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cspermit_",
        "cspermit_.",
        "cspermit_..",
        "cspermit_e30.AAAA",
        "cspermit_W10.AAAA",
        "cspermit_bnVsbA.AAAA",
        "cspermit_" + unpadded(b"[" * 1000) + ".AAAA",
        "cspermit_" + "A" * 100_000,
        "cspermit_é.é",
        "cspermit_" + unpadded(b'{"kid": 1}') + ".AAAA",
        "cspermit_" + unpadded(json.dumps(dict.fromkeys(sorted(permit_tokens.FIELDS), 1)).encode()) + ".AAAA",
        "cspermit_\u0000",
    ],
)
def test_what_has_no_form_is_refused_by_the_api_with_a_sentence(bank: Bank, api_for: Api, text: str) -> None:
    answer = allowed(bank)
    ci = api_for("ci")
    used = consume(ci, answer, permit=text)
    body = {"decision_id": number(answer), "permit": text, "environment": "staging"}
    recorded = ci.post("/api/v1/deployments", body, content_type="application/json")
    for refused in (used, recorded):
        assert refused.status_code in (400, 403), refused.content
        assert refused.json()["detail"]
    assert not Permit.objects.filter(consumed_at__isnull=False).exists()


def test_a_permit_is_used_up_ahead_and_then_records_one_deployment(bank: Bank, api_for: Api) -> None:
    answer, ci = allowed(bank), api_for("ci")
    used = consume(ci, answer, digest=bank.new.digest)
    assert used.status_code == 200, used.content
    assert used.json()["consumed_by"] == scene.actor("ci").id
    assert used.json()["model"]["digest"] == bank.new.digest
    assert not Deployment.objects.exists()
    assert [(each.what, each.environment) for each in undeployed()] == [("permit_used", "staging")]
    again = consume(ci, answer)
    assert (again.status_code, again.json()["code"]) == (409, "permit.used")
    body = {"decision_id": number(answer), "permit": answer.secret, "environment": "staging"}
    first, second = (ci.post("/api/v1/deployments", body, content_type="application/json") for _ in range(2))
    assert (first.status_code, second.status_code, second.json()["code"]) == (201, 409, "permit.used")
    assert undeployed() == []
    assert answer.decision is not None
    events = [row.event for row in log.history(answer.decision.subject)]
    assert events.count("permit.consumed") == 1


def test_a_recorded_deployment_uses_the_permit_up_for_the_other_way_too(bank: Bank, api_for: Api) -> None:
    answer = allowed(bank)
    record(answer)
    used = consume(api_for("ci"), answer)
    assert (used.status_code, used.json()["code"]) == (409, "permit.used")


def test_one_approval_deploys_once_whatever_number_of_permits_it_got(bank: Bank) -> None:
    scene.approved(bank)
    first, second = allowed(bank, "prod-uae"), allowed(bank, "prod-uae")
    claim(first, environment="prod-uae")
    assert code_of(lambda: claim(second, environment="prod-uae")) == "permit.claimed"
    assert code_of(lambda: record(second, environment="prod-uae")) == "permit.claimed"
    third = allowed(bank, "prod-uae")
    assert code_of(lambda: claim(third, environment="prod-uae")) == "permit.claimed"
    record(first, environment="prod-uae")
    assert code_of(lambda: claim(third, environment="prod-uae")) == "permit.promotion_closed"
    assert Deployment.objects.count() == 1


def test_a_claim_asks_what_a_record_asks(bank: Bank) -> None:
    promotion = scene.approved(bank)
    answer = allowed(bank, "prod-uae")
    environments.change_environment(bank.uae, log_sinks=["aws:me-central-1"], by=scene.SET_UP)
    assert code_of(lambda: claim(answer, environment="prod-uae")) == "permit.stale_subject"
    promotions.withdraw(promotion.pk, reason="Not needed.", by=scene.actor("yusuf"))
    assert code_of(lambda: claim(answer, environment="prod-uae")) == "permit.promotion_closed"
    assert not Permit.objects.filter(consumed_at__isnull=False).exists()


def test_using_a_permit_needs_the_right_to_deploy(bank: Bank, api_for: Api) -> None:
    answer = allowed(bank)
    weak = personas.token_of("ci", scopes=("gate.check", "promotion.read"))
    assert consume(Client(headers={"Authorization": f"Bearer {weak}"}), answer).status_code == 403
    assert consume(Client(), answer).status_code == 401
    assert consume(api_for("ci"), answer, enviroment="staging").status_code == 400
    assert consume(api_for("ci"), answer, digest="md5:1").status_code == 400
    unknown = api_for("ci").post(
        "/api/v1/permits/dec_NOPE/consume",
        {"permit": answer.secret, "environment": "staging"},
        content_type="application/json",
    )
    assert (unknown.status_code, unknown.json()["code"]) == (404, "decision.unknown")
    assert not Permit.objects.filter(consumed_at__isnull=False).exists()


def test_two_admission_controllers_at_the_same_instant_get_one_yes(committed_db: CommittedDatabase) -> None:
    bank = scene.build()
    scene.approved(bank)
    answers = [allowed(bank, "prod-uae") for _ in range(2)]
    barrier, said = threading.Barrier(4), []

    def use(answer: gate.Answer) -> None:
        try:
            barrier.wait()
            claim(answer, environment="prod-uae")
            said.append("used")
        except Conflict as refusal:
            said.append(refusal.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=use, args=(answer,)) for answer in answers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count("used") == 1, said
    assert set(said) <= {"used", "permit.used", "permit.claimed"}
    assert Permit.objects.filter(consumed_at__isnull=False).count() == 1
    assert Decision.objects.filter(permits__consumed_at__isnull=False).count() == 1
