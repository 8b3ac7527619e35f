"""Signing in and out."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import transaction
from django.test import Client
from django.urls import reverse

from audit.log import append
from audit.models.events import Event
from audit.queries import Filters, history, search
from audit.refusals import NotPermitted
from governance import accounts, sessions, tokens
from governance.models import SignInAttempt, User
from tests import personas

pytestmark = pytest.mark.django_db


def attempt(client, username, password, **more):
    return client.post(reverse("governance:login"), {"username": username, "password": password, **more})


def refusals():
    return search(Filters(event="session.refused")).rows


def test_a_person_signs_in_and_the_log_knows():
    layla = personas.get("layla")
    client = Client()
    response = attempt(client, "layla", personas.PASSWORD)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert client.session["_auth_user_id"] == str(layla.pk)
    assert history(layla.subject)[0].event == "session.opened"


def test_a_name_in_capitals_and_spaces_is_the_same_person():
    personas.get("layla")
    assert attempt(Client(), " LAYLA ", personas.PASSWORD).status_code == 302


def test_a_wrong_password_and_an_unknown_name_read_the_same_and_are_recorded():
    personas.get("layla")
    known, unknown = attempt(Client(), "layla", "wrong"), attempt(Client(), "nobody-here", "wrong")
    for response in (known, unknown):
        assert response.status_code == 200
        assert "The username or the password is wrong." in response.content.decode()
    assert [row.facts["why"] for row in refusals()] == ["credentials", "credentials"]
    assert {row.subject for row in refusals()} == {User.objects.get(username="layla").subject, "user:unknown"}


def test_what_was_typed_as_a_name_is_nowhere_in_the_log():
    attempt(Client(), "my-password-by-mistake", "wrong")
    assert not any("my-password-by-mistake" in repr(row) for row in refusals())


def test_an_inactive_person_and_a_service_account_cannot_sign_in():
    accounts.deactivate(personas.get("layla"), by=personas.SET_UP)
    personas.get("ci")
    assert attempt(Client(), "layla", personas.PASSWORD).status_code == 200
    assert attempt(Client(), "ci", "").status_code == 200
    assert attempt(Client(), "ci", "!").status_code == 200


def test_a_session_ends_when_its_account_does(client_for):
    client = client_for("layla")
    assert client.get(reverse("governance:account")).status_code == 200
    accounts.deactivate(User.objects.get(username="layla"), by=personas.SET_UP)
    assert client.get(reverse("governance:account")).status_code == 302


def test_after_five_wrong_passwords_even_the_right_one_waits():
    personas.get("layla")
    client = Client()
    for _try in range(sessions.TRIES_PER_NAME):
        attempt(client, "layla", "wrong")
    response = attempt(client, "layla", personas.PASSWORD)
    assert response.status_code == 429
    assert "Too many wrong passwords" in response.content.decode()
    assert response["Retry-After"] == "900"
    assert len(refusals()) == sessions.TRIES_PER_NAME, "a throttled attempt cannot fill the log"


def test_the_throttle_is_for_one_name_from_one_address():
    personas.everyone()
    for _try in range(sessions.TRIES_PER_NAME):
        attempt(Client(), "layla", "wrong")
    assert attempt(Client(), "omar", personas.PASSWORD).status_code == 302
    assert attempt(Client(REMOTE_ADDR="10.1.1.1"), "layla", personas.PASSWORD).status_code == 302


def test_the_throttle_ends_with_its_window():
    personas.get("layla")
    for _try in range(sessions.TRIES_PER_NAME):
        attempt(Client(), "layla", "wrong")
    for row in SignInAttempt.objects.all():
        row.at -= sessions.WINDOW + timedelta(seconds=1)
        row.save()
    assert attempt(Client(), "layla", personas.PASSWORD).status_code == 302


def test_the_throttle_keeps_no_names_and_no_addresses():
    attempt(Client(REMOTE_ADDR="10.9.8.7"), "layla", "wrong")
    assert {len(row.key) for row in SignInAttempt.objects.all()} == {64}


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_signing_in_never_leads_to_another_site(target):
    personas.get("layla")
    assert attempt(Client(), "layla", personas.PASSWORD, next=target)["Location"] == "/"


def test_signing_in_leads_back_to_the_page_that_was_asked_for():
    personas.get("layla")
    asked = Client().get(reverse("governance:account"))
    assert asked["Location"] == "/login?next=/account"
    assert attempt(Client(), "layla", personas.PASSWORD, next="/account")["Location"] == "/account"
    assert attempt(Client(), "layla", personas.PASSWORD, next="review")["Location"] == "review", "no name of a view"


def test_the_form_names_what_is_missing():
    response = attempt(Client(), "", "")
    assert response.status_code == 200
    assert response.content.decode().count("This field is required.") >= 2


def test_the_sign_in_form_needs_its_csrf_token():
    personas.get("layla")
    client = Client(enforce_csrf_checks=True)
    assert attempt(client, "layla", personas.PASSWORD).status_code == 403


def test_a_nul_in_a_name_is_a_form_error():
    assert attempt(Client(), "lay\x00la", "x").status_code == 200


def test_signing_out_needs_post_and_is_recorded(client_for):
    client = client_for("layla")
    assert client.get(reverse("governance:logout")).status_code == 405
    assert client.post(reverse("governance:logout")).status_code == 302
    assert "_auth_user_id" not in client.session
    assert history(User.objects.get(username="layla").subject)[0].event == "session.closed"


def test_an_outdated_hash_is_renewed_at_sign_in_with_an_entry(settings):
    layla = personas.get("layla")
    with transaction.atomic():
        layla.password = PBKDF2PasswordHasher().encode(personas.PASSWORD, "saltsaltsaltsaltsaltsalt", iterations=2)
        layla.save()
        append(Event.PASSWORD_CHANGED, layla, by=personas.SET_UP)
    assert attempt(Client(), "layla", personas.PASSWORD).status_code == 302
    layla.refresh_from_db()
    assert "$1$" in layla.password
    assert [row.event for row in history(layla.subject)[:2]] == ["session.opened", "user.password_changed"]


def test_reauthentication_needs_the_right_password_and_a_refusal_is_recorded():
    layla = personas.get("layla")
    assert sessions.reauthenticate(layla, personas.PASSWORD).tzinfo is not None
    with pytest.raises(NotPermitted) as refused:
        sessions.reauthenticate(layla, "wrong")
    assert refused.value.code == "session.reauthentication"
    assert refusals()[0].facts == {"why": "reauthentication", "throttled": False}


def test_a_token_cannot_reauthenticate_even_with_the_password():
    through_token = tokens.authenticate(personas.token_of("layla"))
    with pytest.raises(NotPermitted) as refused:
        sessions.reauthenticate(through_token, personas.PASSWORD)
    assert refused.value.code == "session.token"


def test_reauthentication_is_throttled():
    layla = personas.get("layla")
    for _try in range(sessions.TRIES_PER_NAME):
        with pytest.raises(NotPermitted):
            sessions.reauthenticate(layla, "wrong")
    with pytest.raises(NotPermitted) as refused:
        sessions.reauthenticate(layla, personas.PASSWORD)
    assert refused.value.code == "session.throttled"
