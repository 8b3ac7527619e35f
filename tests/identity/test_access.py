"""Who may do what."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.db import IntegrityError, transaction

from audit.actors import Actor
from audit.refusals import NotPermitted
from governance import accounts, tokens
from governance.access import RULES, held_by, refusal_of
from governance.models import User
from governance.models.roles import PERSONAL, SCOPES, Action, Role
from tests import personas

pytestmark = pytest.mark.django_db

#: Written down a second time on purpose: a change of the table must be meant.
MAY_SIGN = {"layla", "jonas", "omar", "dana"}
MAY_DEPLOY = {"sami", "ci"}
MAY_MANAGE = {"amir"}


def test_the_rule_table_passes_its_own_check():
    assert run_checks(tags=["access"]) == []


@pytest.mark.parametrize(
    ("action", "holders"),
    [("promotion.sign", MAY_SIGN), ("deploy.record", MAY_DEPLOY), ("user.manage", MAY_MANAGE)],
)
def test_only_the_named_personas_hold_a_sensitive_action(action, holders):
    people = personas.everyone()
    assert {name for name, user in people.items() if user.has_perm(action)} == holders


def test_an_auditor_can_read_everything_take_the_log_home_and_change_nothing():
    held = held_by(personas.get("noor"))
    assert held == {"audit.read", "audit.export", "registry.read", "explain.read", "promotion.read"}


def test_an_administrator_can_neither_sign_nor_change_a_policy():
    amir = personas.get("amir")
    assert not amir.has_perms(["promotion.sign"])
    assert not amir.has_perm("policy.change")


def test_a_person_without_a_role_may_do_nothing():
    nobody = accounts.create_user(username="nobody", display_name="Nobody", by=personas.SET_UP)
    assert not any(nobody.has_perm(action) for action in Action)


def test_an_inactive_account_may_do_nothing():
    layla = personas.get("layla")
    gone = accounts.deactivate(layla, reason="left", by=personas.SET_UP)
    assert not any(gone.has_perm(action) for action in Action)


def test_an_unknown_action_is_refused_even_for_who_holds_every_role():
    layla = personas.get("layla")
    layla.roles = list(Role.values)
    assert not layla.has_perm("promotion.sing")


def test_a_service_account_cannot_hold_the_right_to_sign_even_by_sql():
    ci = personas.get("ci")
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=ci.pk).update(scopes=["promotion.sign"])


def test_no_personal_action_is_a_scope():
    assert not PERSONAL & set(SCOPES)


def test_a_token_narrows_its_owner_and_never_widens_them():
    omar = tokens.authenticate(personas.token_of("omar", scopes=("registry.read", "gate.check")))
    assert held_by(omar) == {"registry.read", "gate.check"}
    accounts.revoke_role(personas.get("omar"), "compliance_officer", by=personas.SET_UP)
    omar.refresh_from_db()
    assert held_by(omar) == set()


def test_a_person_with_the_right_to_sign_cannot_sign_through_a_token():
    layla = tokens.authenticate(personas.token_of("layla"))
    assert not layla.has_perm("promotion.sign")


def test_a_refusal_says_who_may_do_it():
    assert refusal_of("deploy.record") == (
        "Recording a deployment needs the role operator, or a token with the scope deploy.record."
    )
    assert "a token cannot do it" in refusal_of("promotion.sign")


def test_requiring_an_action_raises_that_sentence_and_the_rules_code():
    with pytest.raises(NotPermitted) as refused:
        personas.get("noor").require("registry.change")
    assert refused.value.code == "access.registry.change"
    assert "data scientist" in refused.value.sentence


def test_every_role_has_a_row():
    assert set(RULES) == set(Role)


def test_the_actor_of_an_account_names_it_by_uuid_and_not_by_name():
    ci, layla = personas.get("ci"), personas.get("layla")
    assert layla.actor == Actor(f"user:{layla.uuid}", "Layla Haddad", frozenset({"ml_lead"}))
    assert ci.actor.id == f"service:{ci.uuid}"
    assert ci.actor.kind == "service"
