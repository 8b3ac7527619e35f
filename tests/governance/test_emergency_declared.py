"""Declaring and confirming an emergency: what is wrong is said, who may not is refused and recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from audit import queries as log
from audit.actors import Actor
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refused
from governance import emergency, policies, promotions
from governance.models.emergency import Emergency
from registry import versions
from registry.lineage import edges
from tests import personas
from tests.governance import scene
from tests.governance.breaking import Later, asked, confirm, declare, later, running
from tests.governance.scene import Bank

__all__ = ["later"]
RULE = "PROD-TWO-PEOPLE"
SHIPPED = policies.shipped_packs()["two-person-production"]
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def test_nothing_is_declared_where_nothing_is_missing(bank: Bank) -> None:
    with pytest.raises(Refused) as refusal:
        declare(bank, environment=bank.staging)
    assert refusal.value.code == "emergency.allowed"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reason": " "}, "reason"),
        ({"reason": "x" * 4001}, "reason"),
        ({"reason": "\x00"}, "reason"),
        ({"incident": ""}, "incident"),
        ({"incident": "x" * 201}, "incident"),
        ({"hours": 0}, "hours"),
        ({"hours": 73}, "hours"),
        ({"hours": True}, "hours"),
        ({"hours": "4"}, "hours"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(bank: Bank, change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        declare(bank, **change)
    assert list(refusal.value.fields) == [field]


def test_it_lasts_no_longer_than_the_rule_allows(bank: Bank) -> None:
    with pytest.raises(Refused) as refusal:
        declare(bank, hours=25)
    assert refusal.value.code == "emergency.too_long"
    assert declare(bank, hours=24).state == "declared"


@pytest.mark.parametrize(
    ("by", "code"),
    [
        ("amir", "access.emergency.declare"),
        ("yusuf", "access.emergency.declare"),
        ("noor", "access.emergency.declare"),
        ("omar", "emergency.role"),
        ("ci", "emergency.not_a_person"),
    ],
)
def test_who_may_not_declare_is_refused_and_recorded(bank: Bank, by: str, code: str) -> None:
    with pytest.raises(NotPermitted) as refusal:
        declare(bank, by=by)
    assert refusal.value.code == code
    entry = log.history(bank.new.subject)[0]
    assert (entry.event, entry.facts["rule"]) == ("emergency.refused", code)
    assert not Emergency.objects.exists()


def test_one_person_is_not_two(bank: Bank) -> None:
    row = declare(bank)
    with pytest.raises(NotPermitted) as refusal:
        confirm(row, "layla")
    assert refusal.value.code == "emergency.self_confirmation"
    with pytest.raises(DatabaseError), transaction.atomic():
        Emergency.objects.update(confirmed_by=row.declared_by)


def test_who_may_not_confirm_is_refused_and_recorded(bank: Bank) -> None:
    promotions.request(bank.old, bank.uae, reason="Older, but good.", by=scene.actor("jonas"))
    trained = versions.register_version(
        bank.model, digest=scene.digest_of("by Sami"), trained_by=["Sami"], number=30, by=scene.SET_UP
    )
    edges.record_edge(bank.loans, trained, by=scene.SET_UP)
    row, mine, worked = declare(bank), declare(bank, version=bank.old), declare(bank, version=trained)
    now = timezone.now()
    for each, by, proof, code in (
        (row, scene.actor("amir"), now, "access.emergency.declare"),
        (row, scene.actor("omar"), now, "emergency.role"),
        (row, personas.get("ci").actor, now, "emergency.not_a_person"),
        (row, Actor.system("installer"), now, "emergency.not_a_person"),
        (mine, scene.actor("jonas"), now, "emergency.requester"),
        (worked, scene.actor("sami"), now, "emergency.contributor"),
        (row, scene.actor("sami"), None, "emergency.not_reauthenticated"),
        (row, scene.actor("sami"), now - timedelta(minutes=6), "emergency.not_reauthenticated"),
        (row, scene.actor("sami"), now + timedelta(minutes=6), "emergency.not_reauthenticated"),
    ):
        with pytest.raises(NotPermitted) as refusal:
            emergency.confirm(each.reference, reauthenticated_at=proof, by=by)
        assert refusal.value.code == code
        entry = log.history(each.subject)[0]
        assert (entry.event, entry.facts["rule"]) == ("emergency.refused", code)
    assert asked(bank).verdict.outcome == "pending"


def test_a_declaration_is_void_after_an_hour_and_confirmed_once(bank: Bank, later: Later) -> None:
    with pytest.raises(NotKnown):
        emergency.confirm("EM-2026-9999", reauthenticated_at=timezone.now(), by=scene.actor("sami"))
    done, left = running(bank), declare(bank, version=bank.old)
    with pytest.raises(Conflict):
        confirm(done, "jonas")
    later(timedelta(hours=1))
    with pytest.raises(Conflict) as refusal:
        confirm(left)
    assert refusal.value.code == "emergency.void"


def test_one_at_a_time(bank: Bank) -> None:
    declare(bank)
    with pytest.raises(Conflict) as refusal:
        declare(bank, by="sami")
    assert refusal.value.code == "emergency.under_way"
