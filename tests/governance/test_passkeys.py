"""Passkeys: registered once by their own person, and every answer that must not pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from django.test import Client
from django.utils import timezone

from audit import queries as log
from audit.refusals import Conflict, NotPermitted
from governance import accounts, assertions, factors, passkeys, personal, sessions
from governance.models import FactorChallenge, FactorUse, SecondFactor, SignOff
from tests import personas
from tests.governance import scene
from tests.governance.authenticator import HOST, PRESENT, VERIFIED, Authenticator
from tests.governance.keyholder import REGISTER, asked, form_of, registered, sign, signed
from tests.governance.scene import Bank

Browser = Callable[[str], Client]


@pytest.fixture(autouse=True)
def host(settings: Any) -> None:
    settings.PUBLIC_URL = HOST


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)])
def test_the_other_kinds_of_keys_that_authenticators_have_work_too(bank: Bank, client_for: Browser, key: Any) -> None:
    promotion, layla = scene.request(bank), client_for("layla")
    assert sign(layla, promotion, registered(layla, Authenticator(key=key))).status_code == 302
    assert all(each.verified for each in personal.verified(SignOff.objects.select_related("personal__factor")).values())


HOSTILE: dict[str, dict[str, Any]] = {
    "another origin": {"origin": "https://countersign.example.evil"},
    "the origin without tls": {"origin": "http://countersign.example"},
    "another port": {"origin": "https://countersign.example:8443"},
    "another host": {"rp_id": "evil.example"},
    "nobody was verified": {"flags": PRESENT},
    "nobody was there": {"flags": VERIFIED},
    "the answer to a registration": {"kind": "webauthn.create"},
    "a counter that went back": {"counter": 6},
    "a counter that stood still": {"counter": 7},
    "a key of somebody else": {"key": ed25519.Ed25519PrivateKey.generate()},
    "a credential that nobody registered": {"credential_id": b"x" * 32},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_answer_signs_nothing_and_is_recorded(bank: Bank, client_for: Browser, change: Any) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    key = registered(layla)
    key.counter = 8
    FactorUse.objects.update(newest=8)
    for name, value in change.items():
        setattr(key, name, value)
    answer = sign(layla, promotion, key)
    assert answer.status_code == 403
    assert not SignOff.objects.exists()
    (refused,) = log.search(log.Filters(event="session.refused")).rows
    assert refused.facts["why"] == "second_factor"


def test_a_counter_that_goes_on_is_accepted_and_kept(bank: Bank, client_for: Browser) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    key = registered(layla)
    key.counter = 8
    FactorUse.objects.update(newest=8)
    assert sign(layla, promotion, key).status_code == 302
    assert FactorUse.objects.get().newest == 9


def test_the_same_answer_counts_once(bank: Bank, client_for: Browser) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    key, path = registered(layla), f"/promotions/{promotion.pk}/sign"
    answer = key.answer(asked(layla, path, promotion)["options"])
    wrong = form_of(promotion, comment="Something else.") | {"assertion": answer}
    assert layla.post(path, wrong).status_code == 409
    again = layla.post(path, form_of(promotion) | {"assertion": answer})
    assert again.status_code == 403
    assert "was not asked here, or was answered already" in again.content.decode()
    assert not SignOff.objects.exists()


def test_an_answer_counts_only_in_its_session_for_its_address_and_in_time(bank: Bank, client_for: Browser) -> None:
    layla, elsewhere, promotion = client_for("layla"), client_for("layla"), scene.request(bank)
    key, path = registered(layla), f"/promotions/{promotion.pk}/sign"

    def post(client: Client, at: str, options: Any) -> str:
        answer = client.post(at, form_of(promotion) | {"assertion": key.answer(options)})
        assert answer.status_code == 403
        return str(answer.content.decode())

    assert "was not asked here" in post(elsewhere, path, asked(layla, path, promotion)["options"])
    assert "was not asked here" in post(layla, path, asked(layla, "/account/password", promotion)["options"])
    options = asked(layla, path, promotion)["options"]
    FactorChallenge.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "too late" in post(layla, path, options)
    assert not SignOff.objects.exists()


def test_a_passkey_of_somebody_else_proves_nothing(bank: Bank, client_for: Browser) -> None:
    layla, jonas, promotion = client_for("layla"), client_for("jonas"), scene.request(bank)
    theirs = registered(jonas)
    registered(layla)
    refused = sign(layla, promotion, theirs)
    assert refused.status_code == 403
    assert "not registered for you" in refused.content.decode()


@pytest.mark.parametrize(
    "change",
    [
        {"comment": "I did not look at it."},
        {"role": "compliance_officer"},
        {"meaning": "reject"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_sent_must_be_what_the_key_signed(bank: Bank, client_for: Browser, change: dict[str, str]) -> None:
    accounts.grant_role(personas.get("layla"), "compliance_officer", by=scene.SET_UP)
    layla, promotion = client_for("layla"), scene.request(bank)
    key = registered(layla)
    refused = sign(layla, promotion, key, **change)
    assert refused.status_code == 409
    assert "signed something else" in refused.content.decode()
    assert not SignOff.objects.exists()


def test_a_delegation_that_the_key_signed_must_be_the_one_of_the_sign_off(bank: Bank, client_for: Browser) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    key, path = registered(layla), f"/promotions/{promotion.pk}/sign"
    options = asked(layla, path, promotion, delegation="DL-2026-0001")["options"]
    assert layla.post(path, form_of(promotion) | {"assertion": key.answer(options)}).status_code == 409
    assert not SignOff.objects.exists()


def test_an_answer_to_a_random_question_signs_no_promotion(bank: Bank, client_for: Browser) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    key, path = registered(layla), f"/promotions/{promotion.pk}/sign"
    answer = key.answer(asked(layla, path)["options"])
    assert layla.post(path, form_of(promotion) | {"assertion": answer}).status_code == 409
    assert not SignOff.objects.exists()


@pytest.mark.parametrize(
    "answer",
    [
        "x",
        "[]",
        "null",
        "{}",
        '{"response": 1}',
        '{"response": {"clientDataJSON": 1}}',
        '{"response": {"clientDataJSON": "e30"}}',
        '{"response": {"clientDataJSON": "eyJjaGFsbGVuZ2UiOjF9"}}',
        "[" * 9000,
        "x" * 20_000,
        "\x00",
    ],
    ids=range(11),
)
def test_whatever_is_sent_as_an_answer_is_refused_with_a_sentence(bank: Bank, client_for: Browser, answer: str) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    registered(layla)
    refused = layla.post(f"/promotions/{promotion.pk}/sign", form_of(promotion) | {"assertion": answer})
    assert refused.status_code == 403
    assert not SignOff.objects.exists()


def test_a_half_answer_to_a_real_question_is_refused_with_a_sentence(bank: Bank, client_for: Browser) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    key, path = registered(layla), f"/promotions/{promotion.pk}/sign"
    for change in ({"signature": ""}, {"authenticatorData": ""}, {"authenticatorData": "AAAA"}, {"signature": "A"}):
        answer = key.answer(asked(layla, path, promotion)["options"], **change)
        assert layla.post(path, form_of(promotion) | {"assertion": answer}).status_code == 403
    assert not SignOff.objects.exists()


def test_who_has_only_a_passkey_cannot_sign_with_the_password_alone(bank: Bank, client_for: Browser) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    registered(layla)
    path = f"/promotions/{promotion.pk}/sign"
    refused = layla.post(path, form_of(promotion) | {"password": personas.PASSWORD})
    assert refused.status_code == 403
    assert "Use your passkey" in refused.content.decode()
    page = layla.get(f"/promotions/{promotion.pk}").content.decode()
    assert "Sign with my passkey" in page
    assert 'name="code"' not in page


def test_a_passkey_and_a_wrong_password_prove_nothing(bank: Bank, client_for: Browser) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    key = registered(layla)
    assert sign(layla, promotion, key, password="wrong").status_code == 403
    assert not SignOff.objects.exists()


def test_the_api_signs_with_a_passkey_in_a_session_and_never_with_a_token(
    bank: Bank, client_for: Browser, api_for: Browser
) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    key, path = registered(layla), f"/api/v1/promotions/{promotion.pk}/signoffs"
    question = asked(layla, path, promotion)
    assert assertions.to_text(assertions.challenge_of(question["document"])) == question["options"]["challenge"]
    assert question["options"]["userVerification"] == "required"
    body = form_of(promotion) | {"assertion": key.answer(question["options"])}
    done = layla.post(path, body, content_type="application/json")
    assert done.status_code == 201
    assert done.json()["signoffs"][0]["personal"]["verified"] is True
    through_token = api_for("layla").post("/api/v1/account/challenges", {"path": path}, content_type="application/json")
    assert through_token.status_code == 409
    assert through_token.json()["code"] == "passkey.session"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"promotion": 999_999}, 404),
        ({"subject_digest": "sha256:" + "0" * 64}, 409),
        ({"comment": " "}, 400),
        ({"meaning": "maybe"}, 400),
        ({"salary": 1}, 400),
    ],
)
def test_what_cannot_be_signed_is_not_asked(bank: Bank, client_for: Browser, change: Any, code: int) -> None:
    layla, promotion = client_for("layla"), scene.request(bank)
    registered(layla)
    about = {"promotion": promotion.pk, **form_of(promotion), **change}
    body = {"path": f"/promotions/{promotion.pk}/sign", "signoff": about}
    answer = layla.post("/api/v1/account/challenges", body, content_type="application/json")
    assert answer.status_code == code
    assert not FactorChallenge.objects.exists()


def test_an_installation_that_is_reached_by_an_address_says_that_it_has_no_passkeys(
    bank: Bank, client_for: Browser, settings: Any
) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:8000"
    layla = client_for("layla")
    assert "Passkeys need a name" in layla.get("/account/factors").content.decode()
    assert layla.post("/account/factors/passkey", {"password": personas.PASSWORD}).status_code == 409


def test_a_passkey_is_registered_once_by_its_own_person_and_with_its_holder_verified(
    bank: Bank, client_for: Browser
) -> None:
    layla, jonas = client_for("layla"), client_for("jonas")
    key = Authenticator(flags=PRESENT)
    options = json.loads(layla.post("/account/factors/passkey", {"password": personas.PASSWORD}).context["options"])
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert layla.post(REGISTER, {"credential": key.make(options), "label": "Laptop"}).status_code == 400
    for changed in (Authenticator(origin="https://evil.example"), Authenticator(rp_id="evil.example")):
        options = json.loads(layla.post("/account/factors/passkey", {"password": personas.PASSWORD}).context["options"])
        assert layla.post(REGISTER, {"credential": changed.make(options), "label": "Laptop"}).status_code == 400
    assert not SecondFactor.objects.exists()
    key = registered(layla)
    options = json.loads(jonas.post("/account/factors/passkey", {"password": personas.PASSWORD}).context["options"])
    assert layla.post(REGISTER, {"credential": key.make(options), "label": "Mine"}).status_code == 400, "his question"
    options = json.loads(jonas.post("/account/factors/passkey", {"password": personas.PASSWORD}).context["options"])
    assert jonas.post(REGISTER, {"credential": key.make(options), "label": "Mine"}).status_code == 409
    assert SecondFactor.objects.count() == 1


def test_another_factor_is_added_and_removed_with_the_passkey(bank: Bank, client_for: Browser) -> None:
    layla = client_for("layla")
    key = registered(layla)
    path = "/account/factors/app"
    assert layla.post(path, {"password": personas.PASSWORD}).status_code == 403
    given = {"password": personas.PASSWORD, "assertion": key.answer(asked(layla, path)["options"])}
    assert "otpauth" in layla.post(path, given).content.decode()
    remove = f"/account/factors/{SecondFactor.objects.get().uuid}/remove"
    assert layla.post(remove, {"password": personas.PASSWORD}).status_code == 403
    assert layla.post(remove, {"assertion": key.answer(asked(layla, remove)["options"])}).status_code == 302
    assert sessions.prove(personas.get("layla"), personas.PASSWORD).factors == ("password",)


def test_a_key_that_was_removed_signs_nothing_more_and_what_it_signed_stays_verified(
    bank: Bank, client_for: Browser
) -> None:
    layla = client_for("layla")
    promotion, row, _key = signed(bank, layla)
    factors.recover(SecondFactor.objects.get().uuid, reason="Lost", by=scene.actor("amir"))
    assert SecondFactor.objects.get().credential_id == ""
    with pytest.raises(Conflict, match="no passkey"):
        passkeys.ask(personas.get("layla"), session="s", path="/")
    page = layla.get(f"/promotions/{promotion.pk}").content.decode()
    assert "Signed with a personal key: verified." in page
    assert row.personal.credential_id, "it is part of the proof until its person is erased"


def test_a_code_is_not_asked_from_who_has_only_a_passkey(bank: Bank, client_for: Browser) -> None:
    layla = client_for("layla")
    registered(layla)
    with pytest.raises(NotPermitted, match="Use your passkey"):
        sessions.prove(personas.get("layla"), personas.PASSWORD, code="123456")
