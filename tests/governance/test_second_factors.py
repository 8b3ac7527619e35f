"""Proving who one is with a second factor: enrol, use once, lose, recover; and everything that must not work."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pyotp
import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted
from governance import erasure, factors, sessions, signoffs, totp, waivers
from governance.models import SecondFactor, SignInAttempt, SignOff
from governance.models.signoff import factors_proved
from tests import personas
from tests.governance import scene
from tests.governance.keyholder import NOON, code, enrolled, next_code
from tests.governance.scene import Bank

Browser = Callable[[str], Client]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Noon; ``clock(30)`` is half a minute later. Only codes look at it."""
    now = [NOON]

    class Stopped:
        @staticmethod
        def now() -> datetime:
            return now[0]

    monkeypatch.setattr(totp, "timezone", Stopped)

    def later(seconds: float) -> None:
        now[0] += timedelta(seconds=seconds)

    return later


def refused_word() -> list[str]:
    return [str(row.facts["why"]) for row in log.search(log.Filters(event="session.refused")).rows]


def test_a_password_alone_proves_who_one_is_until_there_is_a_second_factor(db: None, clock: Any) -> None:
    layla = personas.get("layla")
    assert sessions.prove(layla, personas.PASSWORD).factors == ("password",)
    secret = enrolled()
    with pytest.raises(NotPermitted, match="code of your authenticator app") as refusal:
        sessions.prove(layla, personas.PASSWORD)
    assert refusal.value.code == "session.second_factor"
    assert refused_word() == ["second_factor"]
    clock(30)
    assert sessions.prove(layla, personas.PASSWORD, code=next_code(secret)).factors == ("password", "totp")


def test_the_code_alone_proves_nothing(db: None, clock: Any) -> None:
    secret = enrolled()
    clock(30)
    with pytest.raises(NotPermitted, match="password is wrong"):
        sessions.prove(personas.get("layla"), "", code=next_code(secret))
    with pytest.raises(NotPermitted, match="password is wrong"):
        sessions.prove(personas.get("layla"), "wrong", code=next_code(secret))
    assert sessions.prove(personas.get("layla"), personas.PASSWORD, code=next_code(secret)), "nothing was used up"


def test_a_code_counts_once_and_no_earlier_one_counts_after_it(db: None, clock: Any) -> None:
    layla, secret = personas.get("layla"), enrolled()
    clock(30)
    sessions.prove(layla, personas.PASSWORD, code=next_code(secret))
    for used in (next_code(secret), code(secret)):
        with pytest.raises(NotPermitted, match="used already"):
            sessions.prove(layla, personas.PASSWORD, code=used)
    clock(30)
    sessions.prove(layla, personas.PASSWORD, code=next_code(secret, 60))


def test_the_code_that_enrolled_the_app_proves_nothing_more(db: None, clock: Any) -> None:
    secret = enrolled()
    with pytest.raises(NotPermitted, match="used already"):
        sessions.prove(personas.get("layla"), personas.PASSWORD, code=code(secret))


@pytest.mark.parametrize(("seconds", "counts"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_clock_may_be_wrong_by_one_step(db: None, clock: Any, seconds: float, counts: bool) -> None:
    secret = enrolled(at=NOON)
    clock(600)
    now = NOON + timedelta(seconds=600)
    theirs = code(secret, now + timedelta(seconds=seconds))
    if counts:
        sessions.prove(personas.get("layla"), personas.PASSWORD, code=f" {theirs[:3]} {theirs[3:]} ")
    else:
        with pytest.raises(NotPermitted, match="wrong or too old"):
            sessions.prove(personas.get("layla"), personas.PASSWORD, code=theirs)


@pytest.mark.parametrize("given", ["000000", "12345", "1234567", "abcdef", "' OR 1=1", "٠٠٠٠٠٠", "\x00", "9" * 5000])
def test_whatever_is_sent_as_a_code_is_answered_with_a_sentence(db: None, clock: Any, given: str) -> None:
    secret = enrolled()
    clock(3000)
    assert given not in {code(secret, NOON + timedelta(seconds=3000 + step)) for step in (-30, 0, 30)}
    with pytest.raises(NotPermitted) as refusal:
        sessions.prove(personas.get("layla"), personas.PASSWORD, code=given)
    assert refusal.value.code == "session.second_factor"


def test_wrong_codes_are_counted_whatever_the_address_and_then_the_right_one_waits_too(db: None, clock: Any) -> None:
    layla, secret = personas.get("layla"), enrolled()
    clock(30)
    for number in range(sessions.TRIES_PER_FACTOR):
        request = _request(f"10.0.0.{number}")
        with pytest.raises(NotPermitted, match="wrong or too old"):
            sessions.prove(layla, personas.PASSWORD, code="000000", request=request)
    with pytest.raises(NotPermitted, match="Too many wrong codes") as refusal:
        sessions.prove(layla, personas.PASSWORD, code=next_code(secret), request=_request("10.0.1.1"))
    assert refusal.value.code == "session.throttled"
    assert len(refused_word()) == sessions.TRIES_PER_FACTOR, "a throttled attempt cannot fill the log"
    newest = log.search(log.Filters(event="session.refused")).rows[0]
    assert newest.facts["throttled"] is True
    SignInAttempt.objects.update(at=timezone.now() - sessions.WINDOW - timedelta(seconds=1))
    assert sessions.prove(layla, personas.PASSWORD, code=next_code(secret))


def _request(address: str) -> Any:
    from django.test import RequestFactory

    return RequestFactory().get("/", REMOTE_ADDR=address)


def test_signing_with_a_password_asks_for_the_code_and_keeps_what_was_proved(
    bank: Bank, client_for: Browser, clock: Any
) -> None:
    promotion, secret = scene.request(bank), enrolled()
    clock(30)
    layla = client_for("layla")
    form = _form(promotion)
    shown = layla.get(f"/promotions/{promotion.pk}").content.decode()
    assert 'name="code"' in shown
    assert 'name="code"' not in client_for("omar").get(f"/promotions/{promotion.pk}").content.decode()
    refused = layla.post(f"/promotions/{promotion.pk}/sign", form)
    assert refused.status_code == 403
    assert "Enter the code of your authenticator app too" in refused.content.decode()
    assert not SignOff.objects.exists()
    done = layla.post(f"/promotions/{promotion.pk}/sign", form | {"code": next_code(secret)})
    assert done.status_code == 302
    row = SignOff.objects.get()
    assert (row.factors, row.factor_count) == (["password", "totp"], 2)
    assert scene.sign(promotion, "omar", "compliance_officer").factor_count == 1
    given = [each for each in log.history(promotion.subject) if each.event == "signoff.given"]
    assert sorted(each.facts["factors"] for each in given) == [["password"], ["password", "totp"]]


def _form(promotion: Any) -> dict[str, str]:
    return {
        "meaning": "approve",
        "role": "ml_lead",
        "comment": "Checked.",
        "subject_digest": scene.latest(promotion).subject_digest,
        "password": personas.PASSWORD,
    }


def test_the_api_takes_the_code_and_says_with_how_many_factors_was_signed(
    bank: Bank, client_for: Browser, clock: Any
) -> None:
    promotion, secret = scene.request(bank), enrolled()
    clock(30)
    path, body = f"/api/v1/promotions/{promotion.pk}/signoffs", _form(promotion)
    layla = client_for("layla")
    refused = layla.post(path, body, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "session.second_factor")
    done = layla.post(path, body | {"code": next_code(secret)}, content_type="application/json")
    assert done.status_code == 201
    (signed,) = done.json()["signoffs"]
    assert (signed["factors"], signed["factor_count"], signed["personal"]) == (["password", "totp"], 2, None)
    assert layla.post(path, body | {"codes": "1"}, content_type="application/json").status_code == 400


def test_approving_a_waiver_and_erasing_a_person_ask_for_the_code_too(
    bank: Bank, client_for: Browser, clock: Any
) -> None:
    scene.enforced()
    proposed, secret = scene.propose(bank), enrolled("dana")
    dana = client_for("dana")
    assert 'name="code"' in dana.get(f"/waivers/{proposed.reference}").content.decode()
    path = f"/waivers/{proposed.reference}/approve"
    assert dana.post(path, {"password": personas.PASSWORD}).status_code == 403
    assert waivers.find(proposed.reference).state == "proposed"
    clock(30)
    assert dana.post(path, {"password": personas.PASSWORD, "code": next_code(secret)}).status_code == 302
    assert waivers.find(proposed.reference).state == "active"
    noor = personas.get("noor")
    account = f"/accounts/{noor.uuid}"
    assert 'name="code"' in dana.get(account).content.decode()
    form = {"reason": "Request 1", "no_legal_hold": "on", "password": personas.PASSWORD}
    assert dana.post(account, form).status_code == 403
    noor.refresh_from_db()
    assert noor.erased_at is None


def test_changing_the_password_asks_for_the_code(db: None, client_for: Browser, clock: Any) -> None:
    secret, layla = enrolled(), client_for("layla")
    assert 'name="code"' in layla.get("/account").content.decode()
    form = {"current": personas.PASSWORD, "new": "correct horse battery staple"}
    assert layla.post("/account/password", form).status_code == 403
    clock(30)
    assert layla.post("/account/password", form | {"code": next_code(secret)}).status_code == 302


def test_signing_in_is_as_before(db: None, clock: Any) -> None:
    enrolled()
    client = Client()
    answer = client.post("/login", {"username": "layla", "password": personas.PASSWORD})
    assert answer.status_code == 302
    assert client.get("/account").status_code == 200


def test_a_person_enrols_an_app_and_removes_it_on_their_page(db: None, client_for: Browser, clock: Any) -> None:
    layla = client_for("layla")
    assert "no second factor" in layla.get("/account/factors").content.decode()
    assert layla.post("/account/factors/app", {"password": "wrong"}).status_code == 403
    shown = layla.post("/account/factors/app", {"password": personas.PASSWORD})
    page = shown.content.decode()
    (address,) = set(re.findall(r"otpauth://totp/[^\"<\s]+", page))
    secret = pyotp.parse_uri(address.replace("&amp;", "&")).secret
    assert shown["Cache-Control"].startswith("max-age=0")
    assert totp.drawn(address.replace("&amp;", "&")) in page, "a camera reads the same address"
    assert '<path fill="#fff"' in page, "dark on white, also on a dark page"
    assert secret not in layla.get("/account/factors").content.decode(), "it is shown once"
    assert not SecondFactor.objects.exists(), "nothing is enrolled before a code confirmed it"
    wrong = layla.post("/account/factors/app/confirm", {"code": "000000"})
    assert wrong.status_code == 400
    assert secret not in wrong.content.decode()
    assert layla.post("/account/factors/app/confirm", {"code": code(secret)}).status_code == 302
    row = SecondFactor.objects.get()
    assert secret.encode() not in bytes(row.sealed or b"")
    assert "Authenticator app" in layla.get("/account/factors").content.decode()
    again = layla.post("/account/factors/app/confirm", {"code": next_code(secret)})
    assert again.status_code == 409, "what was shown is confirmed once"
    remove = f"/account/factors/{row.uuid}/remove"
    assert layla.post(remove, {"password": personas.PASSWORD}).status_code == 403
    clock(30)
    assert layla.post(remove, {"password": personas.PASSWORD, "code": next_code(secret)}).status_code == 302
    row.refresh_from_db()
    assert (row.sealed, row.removed_by) == (None, personas.get("layla").actor.id)
    assert sessions.prove(personas.get("layla"), personas.PASSWORD)
    events = [each.event for each in log.history(row.subject)]
    assert events == ["factor.removed", "factor.enrolled"]


def test_a_second_app_is_refused_and_so_is_enrolling_for_somebody_else(db: None, clock: Any) -> None:
    enrolled()
    with pytest.raises(Conflict, match="already"):
        enrolled()
    secret, amir = totp.fresh_secret(), scene.actor("amir")
    with pytest.raises(NotPermitted, match="their own"):
        factors.enrol_app(personas.get("jonas"), secret, code(secret), by=amir)
    with pytest.raises(BadInput, match="does not fit"):
        factors.enrol_app(personas.get("jonas"), secret, "000000", by=scene.actor("jonas"))
    with pytest.raises(NotKnown):
        factors.remove(SecondFactor.objects.get().uuid, by=scene.actor("jonas"))


def test_with_a_factor_another_can_only_be_added_with_it(db: None, client_for: Browser, clock: Any) -> None:
    enrolled()
    for path in ("/account/factors/app", "/account/factors/passkey"):
        refused = client_for("layla").post(path, {"password": personas.PASSWORD})
        assert refused.status_code == 403
        assert "otpauth" not in refused.content.decode()


def test_an_administrator_removes_a_lost_factor_with_an_entry_and_then_two_factors_cannot_be_proved(
    bank: Bank, client_for: Browser, clock: Any
) -> None:
    enrolled()
    row, promotion = SecondFactor.objects.get(), scene.request(bank)
    for name, sentence in (("omar", "Managing accounts"), ("layla", "Managing accounts")):
        with pytest.raises(NotPermitted, match=sentence):
            factors.recover(row.uuid, reason="Lost", by=scene.actor(name))
    assert [each.event for each in log.history(row.subject)][:2] == ["factor.refused"] * 2
    path = f"/accounts/{row.owner.uuid}/factors/{row.uuid}/remove"
    amir = client_for("amir")
    assert "Authenticator app" in amir.get(f"/accounts/{row.owner.uuid}").content.decode()
    assert amir.post(path, {"reason": "Seen in person", "password": "wrong"}).status_code == 403
    assert amir.post(path, {"reason": " ", "password": personas.PASSWORD}).status_code == 400
    assert amir.post(path, {"reason": "Seen in person", "password": personas.PASSWORD}).status_code == 302
    (removed, *_rest) = log.history(row.subject)
    assert (removed.event, removed.actor_name, removed.reason) == ("factor.removed", "Amir Khan", "Seen in person")
    assert removed.facts["recovery"] is True
    proof = sessions.prove(personas.get("layla"), personas.PASSWORD)
    given = signoffs.sign(
        promotion.pk,
        meaning="approve",
        comment="Checked.",
        role="ml_lead",
        subject_digest_seen=scene.latest(promotion).subject_digest,
        reauthenticated_at=proof.at,
        proof=proof,
        by=scene.actor("layla"),
    )
    assert given.factor_count == 1


def test_an_administrator_does_not_recover_their_own_factor(db: None, clock: Any) -> None:
    enrolled("amir")
    with pytest.raises(NotPermitted, match="another administrator"):
        factors.recover(SecondFactor.objects.get().uuid, reason="Lost", by=scene.actor("amir"))


def test_a_secret_that_is_moved_to_another_person_opens_nothing(db: None, clock: Any) -> None:
    secret = enrolled()
    layla, jonas = personas.get("layla"), personas.get("jonas")
    sealed = bytes(SecondFactor.objects.get().sealed or b"")
    assert totp.unseal(sealed, layla) == secret
    with pytest.raises(totp.Unreadable):
        totp.unseal(sealed, jonas)
    with pytest.raises(totp.Unreadable):
        totp.unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), layla)


def test_after_a_change_of_the_installations_secret_the_old_one_still_opens_while_it_is_accepted(
    db: None, clock: Any, settings: Any
) -> None:
    secret, layla = enrolled(), personas.get("layla")
    settings.SECRET_KEY_FALLBACKS = [django_settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    clock(30)
    assert sessions.prove(layla, personas.PASSWORD, code=next_code(secret))
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(NotPermitted, match="cannot be checked any more") as refusal:
        sessions.prove(layla, personas.PASSWORD, code=next_code(secret, 60))
    assert refusal.value.code == "session.second_factor", "unreadable is not the same as none"


def test_the_secret_is_in_no_entry_of_the_log(db: None, clock: Any) -> None:
    secret = enrolled()
    with connection.cursor() as cursor:
        cursor.execute("SELECT convert_from(entry, 'UTF8') FROM audit.entry")
        entries = [text for (text,) in cursor.fetchall()]
    assert entries
    assert not [text for text in entries if secret in text]


def test_the_database_keeps_what_was_enrolled(db: None, clock: Any) -> None:
    enrolled()
    row = SecondFactor.objects.get()
    for change in ({"owner": personas.get("jonas")}, {"kind": "passkey"}, {"created_at": NOON}):
        with pytest.raises(IntegrityError), transaction.atomic():
            SecondFactor.objects.filter(pk=row.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        SecondFactor.objects.filter(pk=row.pk).update(removed_at=NOON, removed_by="user:x")


def test_the_command_that_erases_asks_for_the_code_too(db: None, clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, noor = enrolled("amir"), personas.get("noor")
    clock(30)
    given = {"subject": noor.subject, "by": "amir", "reason": "Request 9", "no_legal_hold": True}
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{personas.PASSWORD}\n"))
    with pytest.raises(CommandError, match="Enter the code"):
        call_command("audit_erase", **given)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{personas.PASSWORD}\n{next_code(secret)}\n"))
    with contextlib.suppress(SystemExit):  # the log's values follow when the transaction of this test never commits
        call_command("audit_erase", **given)
    noor.refresh_from_db()
    assert noor.erased_at is not None


def test_with_the_person_goes_the_secret(db: None, clock: Any) -> None:
    enrolled("noor")
    erasure.erase_with_password(
        personas.get("noor").uuid,
        reason="Request 9",
        no_legal_hold=True,
        password=personas.PASSWORD,
        user=personas.get("amir"),
    )
    row = SecondFactor.objects.get()
    assert (row.sealed, row.label) == (None, "(erased)")
    assert row.removed_at is not None
    assert not hasattr(row, "use")


def test_how_many_factors_words_are() -> None:
    assert [factors_proved(each) for each in ((), ("password",), ("totp",), ("password", "totp"))] == [1, 1, 1, 2]
    assert factors_proved(("passkey",)) == factors_proved(("password", "passkey")) == 2
