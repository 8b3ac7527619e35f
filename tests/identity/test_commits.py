"""What only real commits can show: completeness of the log, and requests that run at the same time."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, connections, transaction
from django.utils import timezone

from governance import tokens
from governance.api.idempotency import _alone
from governance.models import ApiToken, IdempotencyRecord, User
from tests import personas

pytestmark = pytest.mark.urls("tests.identity.probes")
DAY = timedelta(days=1)
MAKE = "/api/v1/probe/make"


def post(client, username, key, path=MAKE):
    return client.post(path, json.dumps({"username": username}), "application/json", HTTP_IDEMPOTENCY_KEY=key)


def test_no_account_changes_without_an_entry_not_even_by_queryset_or_sql(committed_db):
    layla = personas.get("layla")
    with pytest.raises(DatabaseError), transaction.atomic():
        User.objects.filter(pk=layla.pk).update(roles=["administrator"])
    with pytest.raises(DatabaseError), transaction.atomic():
        User.objects.bulk_create([User(username="ghost", display_name="Ghost", password="!")])
    layla.refresh_from_db()
    assert layla.roles == ["ml_lead"]
    assert not User.objects.filter(username="ghost").exists()


def test_no_token_appears_or_lives_longer_without_an_entry(committed_db):
    ci = personas.get("ci")
    issued = tokens.issue(ci, label="deploy job", scopes=["gate.check"], lifetime=DAY, by=personas.SET_UP)
    with pytest.raises(DatabaseError), transaction.atomic():
        ApiToken.objects.filter(pk=issued.token.pk).update(revoked_at=timezone.now())
    with pytest.raises(DatabaseError), transaction.atomic():
        ApiToken.objects.filter(pk=issued.token.pk).update(expires_at=timezone.now() + 300 * DAY)


def test_while_the_first_request_runs_the_second_is_told_to_wait(committed_db, api_for):
    client = api_for("ci")
    ci = User.objects.get(username="ci")
    held, release = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            assert _alone(ci, "run-1")
            held.set()
            release.wait(20)
        connections.close_all()

    thread = threading.Thread(target=first)
    thread.start()
    assert held.wait(20)
    try:
        waiting = post(client, "once", "run-1")
        other = post(client, "other", "run-2")
    finally:
        release.set()
        thread.join()
    assert (waiting.status_code, waiting.json()["code"]) == (409, "idempotency.in_progress")
    assert other.status_code == 201
    assert post(client, "once", "run-1").status_code == 201


def test_when_the_commit_is_refused_neither_the_change_nor_its_answer_stays(committed_db, api_for):
    """The view changes an account behind the log's back: the database refuses the COMMIT of the whole request."""
    personas.get("layla")
    client = api_for("ci")
    client.raise_request_exception = False
    refused = post(client, "layla", "run-1", "/api/v1/probe/behind")
    assert (refused.status_code, refused["Content-Type"]) == (500, "application/problem+json")
    assert not IdempotencyRecord.objects.exists()
    assert User.objects.get(username="layla").display_name == "Layla Haddad"
    assert post(client, "kept", "run-1").status_code == 201
    assert IdempotencyRecord.objects.get().status == 201
