"""Whoever issued a service account's token is not the second person for what was done with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.actors import Actor
from audit.refusals import NotPermitted
from governance import accounts, backtests, packs, second_person, tokens, transfers, waivers
from governance.models.user import User
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank


@pytest.fixture
def amir(bank: Bank) -> User:
    """An administrator with every role that approves, who issued a token to the pipeline and revoked it since."""
    user = personas.get("amir")
    for role in ("compliance_officer", "dpo", "ml_lead"):
        accounts.grant_role(user, role, by=scene.SET_UP)
    user.refresh_from_db()
    issued = tokens.issue(
        personas.get("ci"), label="deploys", scopes=["gate.check"], lifetime=timedelta(days=1), by=user.actor
    )
    assert issued.token.issued_by == user.actor.id
    tokens.revoke(issued.token, by=user.actor)
    return user


def _waiver(bank: Bank, by: Actor) -> Callable[[Actor], object]:
    scene.in_force(packs.draft(scene.run_on_record(version=1), by=scene.actor("omar")))
    made = waivers.propose(
        bank.new,
        bank.staging,
        pack="lab-runs",
        rule="LAB-RUN-001",
        subjects=[bank.new.subject],
        reason="The laptop is gone.",
        control="Trained again.",
        ends_at=timezone.now() + timedelta(days=1),
        by=by,
    )
    return lambda second: waivers.approve(made.reference, reauthenticated_at=timezone.now(), by=second)


def _pack(bank: Bank, by: Actor) -> Callable[[Actor], object]:
    row = packs.draft(scene.run_on_record(version=1), by=by)
    backtests.perform(backtests.request(row.slug, row.version, by=scene.actor("omar")).pk)
    return lambda second: packs.activate(row.slug, row.version, reason="Needed.", by=second)


def _safeguard(bank: Bank, by: Actor) -> Callable[[Actor], object]:
    transfers.record(
        "TS-9",
        type="SCC",
        law="AE-federal",
        document="Clauses",
        document_digest=scene.digest_of("clauses"),
        digest_basis="stated",
        subjects=["dataset:loans-2026q3"],
        regions=["azure:germanywestcentral"],
        expires_at=timezone.now() + timedelta(days=30),
        by=by,
    )
    return lambda second: transfers.approve("TS-9", by=second)


@pytest.mark.parametrize("made", [_waiver, _pack, _safeguard])
def test_the_issuer_of_a_token_cannot_approve_what_was_done_with_it(
    bank: Bank, amir: User, made: Callable[[Bank, Actor], Callable[[Actor], object]]
) -> None:
    approve = made(bank, scene.actor("ci"))
    with pytest.raises(NotPermitted) as refused:
        approve(amir.actor)
    assert refused.value.code.endswith(("self_approval", "self_activation"))
    approve(scene.actor("dana"))


def test_others_are_second_to_a_service_account_and_nobody_to_themselves(amir: User) -> None:
    pipeline = scene.actor("ci")
    assert second_person.is_first(pipeline.id, amir.actor)
    assert not second_person.is_first(pipeline.id, scene.actor("dana"))
    assert second_person.is_first(amir.actor.id, amir.actor)


def test_a_person_costs_no_query(amir: User, django_assert_num_queries: Any) -> None:
    first = scene.actor("layla").id
    with django_assert_num_queries(0):
        assert not second_person.is_first(first, amir.actor)
