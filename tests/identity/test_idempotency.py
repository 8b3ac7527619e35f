"""A repeated POST is answered, not done again."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client

from config.story import wipe
from governance.api.idempotency import forget_outdated
from governance.models import IdempotencyRecord, User

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.identity.probes")]
MAKE = "/api/v1/probe/make"


def post(client, username, key, path=MAKE):
    return client.post(path, json.dumps({"username": username}), "application/json", HTTP_IDEMPOTENCY_KEY=key)


def test_the_same_key_and_body_get_the_same_bytes_and_change_nothing(api_for):
    client = api_for("ci")
    first = post(client, "once", "run-1")
    again = post(client, "once", "run-1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again["Content-Type"] == first["Content-Type"]
    assert again["Idempotent-Replay"] == "true"
    assert "Idempotent-Replay" not in first
    assert User.objects.filter(username="once").count() == 1


def test_without_a_key_a_repeated_request_is_done_again(api_for):
    client = api_for("ci")
    body = json.dumps({"username": "twice"})
    assert client.post(MAKE, body, "application/json").status_code == 201
    assert client.post(MAKE, body, "application/json").status_code == 409


def test_a_key_for_another_body_or_another_path_is_a_conflict(api_for):
    client = api_for("ci")
    post(client, "first", "run-1")
    for response in (post(client, "second", "run-1"), post(client, "first", "run-1", MAKE + "?x=1")):
        assert response.status_code == 409
        assert response["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == "idempotency.reused"
    assert not User.objects.filter(username="second").exists()


def test_keys_of_two_callers_do_not_meet(api_for):
    assert post(api_for("ci"), "of-ci", "run-1").status_code == 201
    assert post(api_for("yusuf"), "of-yusuf", "run-1").status_code == 201


def test_a_refusal_is_repeated_too(api_for):
    client = api_for("ci")
    first = post(client, "Has Space", "run-1")
    again = post(client, "Has Space", "run-1")
    assert (first.status_code, again.content) == (400, first.content)


def test_a_failure_of_the_server_is_not_kept_and_nothing_of_it_stays(api_for):
    client = api_for("ci")
    assert post(client, "crash", "run-1").status_code == 500
    assert not User.objects.filter(username="crash").exists()
    assert not IdempotencyRecord.objects.exists()


def test_an_anonymous_call_keeps_nothing():
    assert post(Client(), "ghost", "run-1").status_code == 401
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "tab\tkey", "clé"])
def test_an_unreadable_key_is_refused_and_nothing_is_done(api_for, key):
    response = post(api_for("ci"), "ghost", key)
    assert response.status_code == 400
    assert response.json()["code"] == "idempotency.key"
    assert not User.objects.filter(username="ghost").exists()


def test_a_quoted_key_is_the_same_key(api_for):
    client = api_for("ci")
    post(client, "once", '"run-1"')
    assert post(client, "once", "run-1")["Idempotent-Replay"] == "true"


def test_an_answer_is_forgotten_after_seven_days(api_for):
    client = api_for("ci")
    post(client, "old", "run-1")
    record = IdempotencyRecord.objects.get()
    record.created_at -= timedelta(days=7, seconds=1)
    record.save()
    assert post(client, "new", "run-1").status_code == 201
    assert forget_outdated() == 0


def test_outdated_answers_are_deleted(api_for):
    post(api_for("ci"), "old", "run-1")
    record = IdempotencyRecord.objects.get()
    record.created_at -= timedelta(days=8)
    record.save()
    assert forget_outdated() == 1


def test_nothing_of_a_kept_answer_or_its_key_can_be_read_in_the_table(api_for):
    first = post(api_for("ci"), "once", "run-1")
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(t)::text, t.sealed_body FROM governance_idempotency t")
        text, sealed = cursor.fetchone()
    secret = first.json()["uuid"]
    assert secret.encode() not in bytes(sealed)
    assert secret not in text
    assert "run-1" not in text


def test_a_kept_answer_that_was_tampered_with_is_refused_and_nothing_is_done_again(api_for):
    client = api_for("ci")
    post(client, "once", "run-1")
    for change in ({"status": 200}, {"sealed_body": b"x" * 40}, {"sealed_body": b""}):
        with transaction.atomic():
            IdempotencyRecord.objects.update(**change)
            again = post(client, "once", "run-1")
            transaction.set_rollback(True)
        assert (again.status_code, again.json()["code"]) == (409, "idempotency.unreadable")
    assert User.objects.filter(username="once").count() == 1


def test_after_a_new_secret_a_request_of_before_is_refused_and_others_are_answered(api_for, settings):
    client = api_for("ci")
    first = post(client, "once", "run-1")
    before, settings.SECRET_KEY = settings.SECRET_KEY, "another secret of at least fifty characters, for a test"
    again = post(client, "once", "run-1")
    assert (again.status_code, again.json()["code"]) == (409, "idempotency.unreadable")
    assert post(client, "other", "run-2").status_code == 201
    settings.SECRET_KEY_FALLBACKS = [before]
    assert post(client, "once", "run-1").content == first.content
    assert User.objects.filter(username="once").count() == 1


def test_a_wiped_account_takes_its_kept_answers_along(api_for):
    post(api_for("ci"), "once", "run-1")
    with transaction.atomic():
        wipe._remove(User.objects.get(username="ci"))
        assert not IdempotencyRecord.objects.exists()
        transaction.set_rollback(True)
