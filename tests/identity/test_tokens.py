"""API tokens: shown once, kept as a digest, limited in time and scope."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.log import append
from audit.models.events import Event
from audit.queries import history
from audit.refusals import BadInput, Conflict, NotPermitted
from governance import accounts, tokens
from governance.models import ApiToken, TokenUse
from tests import personas

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def issue(username="sami", *, scopes=("gate.check",), lifetime=DAY, by=None):
    user = personas.get(username)
    return tokens.issue(user, label="deploy job", scopes=scopes, lifetime=lifetime, by=by or user.actor)


def refusal_of(secret):
    with pytest.raises(tokens.TokenRefused) as refused:
        tokens.authenticate(secret)
    assert len(secret) < 9 or secret not in refused.value.sentence
    return refused.value.code


def move_back(token, by):
    """Let time pass for a token: its times move back, with the entry that the database asks for."""
    with transaction.atomic():
        token.created_at -= by
        token.expires_at -= by
        token.save()
        append(Event.TOKEN_ISSUED, token, facts={"test": "time passes"}, by=personas.SET_UP)


def test_only_a_digest_is_kept():
    issued = issue()
    row = ApiToken.objects.values().get(pk=issued.token.pk)
    assert row["digest"] == hashlib.sha256(issued.secret.encode()).hexdigest()
    assert issued.secret.rpartition("_")[2] not in repr(row)
    assert issued.secret not in repr(history(issued.token.subject))


def test_a_secret_has_a_prefix_that_a_leak_scanner_finds_and_256_random_bits():
    first, second = issue().secret, issue().secret
    assert first.startswith("csn_")
    assert len(first) == len("csn_") + 8 + 1 + 43
    assert first != second


def test_issuing_and_revoking_are_entries_by_the_person():
    issued = issue()
    tokens.revoke(issued.token, reason="job retired", by=personas.get("sami").actor)
    revoked, made = history(issued.token.subject)
    assert (revoked.event, revoked.reason) == ("token.revoked", "job retired")
    assert made.facts["scopes"] == ["gate.check"]
    assert made.actor_id == personas.get("sami").actor.id


def test_a_token_authenticates_its_owner_with_its_scopes():
    user = tokens.authenticate(issue().secret)
    assert user.username == "sami"
    assert user.token_scopes == {"gate.check"}


def test_an_expired_token_proves_nothing():
    issued = issue()
    move_back(issued.token, 2 * DAY)
    assert refusal_of(issued.secret) == "token.expired"


def test_a_revoked_token_proves_nothing_and_cannot_be_revoked_twice():
    issued = issue()
    tokens.revoke(issued.token, by=personas.get("sami").actor)
    assert refusal_of(issued.secret) == "token.revoked"
    with pytest.raises(Conflict):
        tokens.revoke(issued.token, by=personas.get("sami").actor)


def test_the_token_of_an_inactive_owner_proves_nothing():
    issued = issue()
    accounts.deactivate(personas.get("sami"), by=personas.SET_UP)
    assert refusal_of(issued.secret) == "token.owner_inactive"


def test_a_right_identifier_with_a_wrong_secret_is_unknown():
    secret = issue().secret
    assert refusal_of(secret[:-1] + ("A" if secret[-1] != "A" else "B")) == "token.unknown"


@pytest.mark.parametrize(
    "secret",
    ["", "csn_", "csn_12345678_", "x" * 5000, "csn_ZZZZZZZZ_" + "a" * 43, "csn_12345678_" + "é" * 43, "a\x00b"],
)
def test_a_malformed_token_is_told_apart_without_asking_the_database(secret, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert refusal_of(secret) == "token.malformed"


def test_rotation_lets_the_old_token_work_until_its_grace_ends():
    old = issue()
    new = tokens.rotate(old.token, grace=timedelta(hours=1), by=personas.get("sami").actor)
    assert tokens.authenticate(old.secret).username == tokens.authenticate(new.secret).username
    old.token.refresh_from_db()
    assert old.token.state(timezone.now() + timedelta(hours=2)) == "revoked"
    assert new.token.scopes == old.token.scopes


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": ()},
        {"scopes": ("gate.chekc",)},
        {"scopes": ("promotion.sign",)},
        {"scopes": ("policy.change",)},
        {"lifetime": timedelta(0)},
        {"lifetime": timedelta(days=400)},
    ],
)
def test_a_token_cannot_be_issued_beyond_its_owner_or_for_ever(wrong):
    with pytest.raises(BadInput):
        issue(**wrong)
    assert not ApiToken.objects.exists()


def test_nobody_issues_a_token_for_another_person():
    with pytest.raises(NotPermitted):
        issue("sami", by=personas.get("amir").actor)


def test_an_administrator_issues_tokens_for_service_accounts_and_nobody_else_does():
    assert issue("ci", by=personas.get("amir").actor).secret
    with pytest.raises(NotPermitted):
        issue("ci", by=personas.get("layla").actor)
    with pytest.raises(NotPermitted):
        issue("ci", by=personas.get("ci").actor)


def test_a_token_cannot_issue_a_token():
    through_token = tokens.authenticate(issue().secret)
    with pytest.raises(NotPermitted):
        tokens.issue(through_token, label="child", scopes=["gate.check"], lifetime=DAY, by=through_token.actor)


def test_last_use_is_noted_once_a_minute_and_is_no_entry(django_assert_num_queries):
    issued = issue()
    tokens.authenticate(issued.secret)
    assert TokenUse.objects.get(token=issued.token).last_used_at
    with django_assert_num_queries(1):
        tokens.authenticate(issued.secret)
    assert len(history(issued.token.subject)) == 1


def test_a_person_issues_a_token_on_the_account_page_and_sees_it_once(client_for):
    client = client_for("sami")
    form = {"label": "deploy job", "scopes": ["deploy.record", "gate.check"], "days": "30"}
    shown = client.post(reverse("governance:issue_token"), form)
    token = ApiToken.objects.get()
    assert token.prefix in shown.content.decode()
    assert shown["Cache-Control"].count("no-store") == 1
    secret = shown.content.decode().partition(token.prefix)[2][:43]
    assert tokens.authenticate(token.prefix + secret).username == "sami"
    assert secret not in client.get(reverse("governance:account")).content.decode()


def test_the_account_page_offers_only_scopes_that_the_person_has(client_for):
    client = client_for("sami")
    response = client.post(reverse("governance:issue_token"), {"label": "x", "scopes": ["policy.change"], "days": "30"})
    assert "policy.change is not one of the available choices" in response.content.decode()
    assert not ApiToken.objects.exists()


def test_an_auditor_sees_why_they_cannot_issue_a_token(client_for):
    page = client_for("noor").get(reverse("governance:account")).content.decode()
    assert "Issuing an API token needs the role" in page
    refused = client_for("noor").post(
        reverse("governance:issue_token"), {"label": "x", "scopes": ["audit.read"], "days": "1"}
    )
    assert refused.status_code == 403


def test_a_person_revokes_their_own_token_and_not_anothers(client_for):
    mine = issue("sami").token
    assert client_for("layla").post(reverse("governance:revoke_token", args=[mine.uuid])).status_code == 404
    assert client_for("sami").post(reverse("governance:revoke_token", args=[mine.uuid])).status_code == 302
    mine.refresh_from_db()
    assert mine.state() == "revoked"


def test_a_person_changes_their_password_and_stays_signed_in(client_for):
    client, other = client_for("sami"), client_for("sami")
    wrong = client.post(reverse("governance:change_password"), {"current": "wrong", "new": "a-better-password-77"})
    assert wrong.status_code == 403
    weak = client.post(reverse("governance:change_password"), {"current": personas.PASSWORD, "new": "short"})
    assert weak.status_code == 400
    done = client.post(
        reverse("governance:change_password"), {"current": personas.PASSWORD, "new": "a-better-password-77"}
    )
    assert done.status_code == 302
    assert client.get(reverse("governance:account")).status_code == 200
    assert other.get(reverse("governance:account")).status_code == 302
    assert Client().login(username="sami", password="a-better-password-77")
