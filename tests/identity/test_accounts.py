"""Accounts and roles: every change is an entry, and none happens without one."""

from __future__ import annotations

import pytest
from django.contrib.auth.hashers import make_password

from audit.queries import history
from audit.refusals import BadInput, Conflict, NotPermitted
from governance import accounts
from governance.models import User
from tests import personas


def events_of(user):
    return [row.event for row in history(user.subject)]


@pytest.mark.django_db
def test_a_new_account_is_recorded_without_personal_data_in_the_facts():
    amir = personas.get("amir")
    user = accounts.create_user(username="Maha", display_name="Maha Saleh", roles=["dpo"], by=amir.actor)
    assert user.username == "maha"
    (row,) = history(user.subject)
    assert (row.event, row.actor_id) == ("user.created", amir.actor.id)
    assert row.facts == {"kind": "person", "roles": ["dpo"], "scopes": []}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "wrong",
    [
        {"username": ""},
        {"username": "Has Space"},
        {"username": "nul\x00"},
        {"username": "x" * 64},
        {"display_name": " "},
        {"kind": "robot"},
        {"roles": ["root"]},
        {"scopes": ["gate.check"]},
        {"kind": "service", "roles": ["dpo"]},
        {"kind": "service", "password": "a-long-enough-password"},
        {"kind": "service", "scopes": ["promotion.sign"]},
        {"password": "short"},
        {"password": "123456789012345"},
    ],
)
def test_bad_input_for_an_account_is_named_and_writes_nothing(wrong):
    before = User.objects.count()
    with pytest.raises(BadInput) as refused:
        accounts.create_user(**{"username": "maha", "display_name": "Maha", **wrong}, by=personas.SET_UP)
    assert refused.value.sentence
    assert User.objects.count() == before


@pytest.mark.django_db
def test_a_taken_name_is_a_conflict():
    personas.get("layla")
    with pytest.raises(Conflict, match="taken"):
        accounts.create_user(username="LAYLA", display_name="Another", by=personas.SET_UP)


@pytest.mark.django_db
def test_only_an_administrator_manages_accounts():
    with pytest.raises(NotPermitted):
        accounts.create_user(username="maha", display_name="Maha", by=personas.get("layla").actor)
    with pytest.raises(NotPermitted):
        accounts.deactivate(personas.get("noor"), by=personas.get("omar").actor)


@pytest.mark.django_db
def test_granting_and_revoking_a_role_are_entries():
    amir, noor = personas.get("amir"), personas.get("noor")
    accounts.grant_role(noor, "dpo", reason="stands in for Dana", by=amir.actor)
    noor = accounts.revoke_role(noor, "auditor", by=amir.actor)
    assert noor.roles == ["dpo"]
    assert events_of(noor) == ["role.revoked", "role.granted", "user.created"]
    assert history(noor.subject)[1].reason == "stands in for Dana"


@pytest.mark.django_db
def test_nobody_grants_a_role_to_themselves():
    amir = personas.get("amir")
    with pytest.raises(NotPermitted, match="own roles"):
        accounts.grant_role(amir, "ml_lead", by=amir.actor)


@pytest.mark.django_db
def test_the_last_administrator_can_neither_leave_nor_lose_the_role():
    amir = personas.get("amir")
    with pytest.raises(Conflict, match="last administrator"):
        accounts.deactivate(amir, by=personas.SET_UP)
    with pytest.raises(Conflict, match="last administrator"):
        accounts.revoke_role(amir, "administrator", by=personas.SET_UP)


@pytest.mark.django_db
def test_an_outdated_password_hash_is_not_rewritten_without_an_entry():
    layla = personas.get("layla")
    outdated = make_password(personas.PASSWORD).replace("$1$", "$2$", 1)
    layla.password = outdated
    layla.check_password(personas.PASSWORD)
    assert layla.password == outdated
