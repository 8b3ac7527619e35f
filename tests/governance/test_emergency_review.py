"""The look back: by others, before a deadline; late it holds the whole model, and nobody ratifies by waiting."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from audit import alerts
from audit import queries as log
from audit.actors import Actor
from audit.queries import fetch
from audit.refusals import BadInput, Conflict, NotPermitted, Refused
from governance import emergency_clock, emergency_review, promotions, replay, rollouts, waivers, ways
from governance.models.emergency import Emergency
from governance.policies.explain import OVERDUE
from registry import deployments, versions
from registry.lineage import edges
from tests import personas
from tests.governance import scene
from tests.governance.breaking import Later, asked, declare, later, review, running
from tests.governance.scene import Bank

__all__ = ["later"]
#: Four hours of emergency, two days until the review is due.
DUE = timedelta(hours=52, seconds=1)


def deployed(bank: Bank) -> Emergency:
    """The candidate serves because of an emergency."""
    row = running(bank)
    answer = asked(bank)
    assert answer.decision is not None
    rollouts.record_deploy(
        answer.decision.public_id, secret=answer.secret, environment="prod-uae", by=scene.actor("ci")
    )
    return row


def other_model(bank: Bank) -> object:
    """A version of another model about the same people."""
    model = versions.register_model(
        "fraud", title="Fraud", owner="risk", purpose="Finds fraud.", risk="high", risk_reason="Guess.", by=scene.SET_UP
    )
    version = versions.register_version(
        model, digest=scene.digest_of("fraud/1"), trained_by=["yusuf"], number=1, by=scene.SET_UP
    )
    edges.record_edge(bank.loans, version, by=scene.SET_UP)
    return version


def test_a_review_ends_the_emergency_and_is_on_record(bank: Bank) -> None:
    row = review(running(bank))
    assert (row.state, row.reviewed_by) == ("ratified", scene.actor("omar").id)
    entry = log.history(row.subject)[0]
    assert (entry.event, entry.reason, entry.facts["late"]) == ("emergency.ratified", "It was right.", False)
    assert asked(bank).verdict.outcome == "pending", "what was looked at is over"
    with pytest.raises(Conflict):
        review(row, "dana")


def test_who_may_not_review_is_refused_and_recorded(bank: Bank) -> None:
    promotions.request(bank.new, bank.uae, reason="Better.", by=scene.actor("dana"))
    row = running(bank)
    now = timezone.now()
    for by, proof, code in (
        ("layla", now, "emergency.self_review"),
        ("sami", now, "access.emergency.review"),
        ("amir", now, "access.emergency.review"),
        ("yusuf", now, "access.emergency.review"),
        ("jonas", now, "emergency.role"),
        ("dana", now, "emergency.requester"),
        ("ci", now, "emergency.not_a_person"),
        ("omar", None, "emergency.not_reauthenticated"),
    ):
        with pytest.raises(NotPermitted) as refusal:
            emergency_review.review(
                row.reference, ratified=True, reason="Fine.", reauthenticated_at=proof, by=scene.actor(by)
            )
        assert refusal.value.code == code
        entry = log.history(row.subject)[0]
        assert (entry.event, entry.facts["rule"]) == ("emergency.refused", code)
    with pytest.raises(BadInput):
        review(row, reason=" ")
    row.refresh_from_db()
    assert row.state == "confirmed"


def test_the_database_refuses_a_review_by_one_of_the_two(bank: Bank) -> None:
    row = running(bank)
    for who in (row.declared_by, row.confirmed_by):
        with pytest.raises(DatabaseError), transaction.atomic():
            Emergency.objects.update(
                state="ratified", reviewed_by=who, reviewed_at=timezone.now(), review_reason="Fine."
            )


def test_what_nobody_confirmed_is_not_reviewed(bank: Bank) -> None:
    with pytest.raises(Conflict):
        review(declare(bank))


def test_a_late_review_holds_every_promotion_of_the_model_and_only_of_it(bank: Bank, later: Later) -> None:
    row, other = deployed(bank), other_model(bank)
    waiting = scene.approved(bank, version=bank.old)
    assert waiting.state == "approved"
    later(DUE - timedelta(minutes=10))
    assert asked(bank, version=bank.old).verdict.outcome == "allow"
    later(DUE)
    for change in ({"version": bank.old}, {"version": bank.old, "environment": bank.staging}, {}):
        verdict = asked(bank, **change).verdict
        assert verdict.outcome == "deny", "no task of the clock has run"
        found = next(each for each in verdict.findings if each["rule"] == OVERDUE)
        assert (found["outcome"], found["severity"], found["waived_by"]) == ("fail", "block", "")
        assert row.reference in found["message"]
        assert found["where"] == f"/emergencies/{row.reference}"
    assert asked(bank, version=other).verdict.outcome == "pending"


def test_a_decision_is_relied_on_no_longer_than_until_the_review_is_due(bank: Bank, later: Later) -> None:
    row = deployed(bank)
    scene.approved(bank, version=bank.old)
    later(DUE - timedelta(hours=1))
    assert asked(bank, version=bank.old).verdict.valid_until == row.review_due_at


def test_neither_a_waiver_nor_another_emergency_gets_past_a_late_review(bank: Bank, later: Later) -> None:
    deployed(bank)
    later(DUE)
    with pytest.raises(Refused) as refusal:
        declare(bank, version=bank.old)
    assert refusal.value.code == "emergency.denied"
    with pytest.raises(Refused) as refusal:
        waivers.propose(
            bank.old,
            bank.uae,
            pack="",
            rule=OVERDUE,
            subjects=[bank.old.subject],
            reason="No time.",
            control="None.",
            ends_at=timezone.now() + timedelta(days=1),
            by=scene.actor("omar"),
        )
    assert refusal.value.code == "waiver.engine"


def test_what_serves_may_go_back_while_a_review_is_late(bank: Bank, later: Later) -> None:
    deployments.record_deploy(bank.uae, bank.old, "all_at_once", "seed", "seed", by=scene.SET_UP)
    deployed(bank)
    later(DUE)
    done = rollouts.record_rollback(bank.old, bank.uae, reason="Wrong.", incident="INC-9", by=scene.actor("sami"))
    assert done.decision.allows


def test_the_review_lifts_the_freeze_and_its_alert(bank: Bank, later: Later) -> None:
    row = deployed(bank)
    scene.approved(bank, version=bank.old)
    later(DUE)
    assert emergency_clock.follow_up() >= 1
    assert _alerts(row) == ["raised"]
    assert emergency_clock.follow_up() == 0, "noted once"
    told = [each.event for each in log.history(row.subject)]
    assert (told.count("emergency.ended"), told.count("emergency.lapsed")) == (1, 1), told
    alerts.check()
    assert _alerts(row) == ["raised"], "no look at the log takes it back"
    review(row, "dana", reason="It was right, and late.")
    assert _alerts(row) == ["raised", "resolved"]
    assert log.history(row.subject)[0].facts["late"] is True
    assert asked(bank, version=bank.old).verdict.outcome == "allow"


def test_a_decision_that_a_late_review_denied_replays(bank: Bank, later: Later) -> None:
    row = deployed(bank)
    later(DUE)
    decision = asked(bank, version=bank.old).decision
    assert decision is not None
    review(row)
    assert replay.replay(decision, by=scene.actor("noor")).same
    found = ways.to_pass(decision)
    assert [[each.kind for each in way.actions] for way in found.ways] == [["review_emergency"]]
    assert found.ways[0].actions[0].who == ("compliance_officer", "dpo")


def test_nothing_is_ratified_by_waiting(bank: Bank, later: Later) -> None:
    row = running(bank)
    later(timedelta(days=300))
    emergency_clock.follow_up()
    row.refresh_from_db()
    assert (row.state, row.reviewed_by) == ("confirmed", "")
    assert asked(bank).verdict.outcome == "deny"


def test_not_ratified_orders_another_version_until_one_serves(bank: Bank) -> None:
    deployments.record_deploy(bank.uae, bank.old, "all_at_once", "seed", "seed", by=scene.SET_UP)
    row = review(deployed(bank), ratified=False, reason="It could have waited.")
    assert row.state == "not_ratified"
    now = timezone.now()
    (order,) = emergency_review.pressing(now)
    assert emergency_review.must_be_replaced(order, now, serves=order.serves)
    assert emergency_clock.follow_up() == 1, "its time is over, and that is all: its version still serves"
    row.refresh_from_db()
    assert row.replaced_at is None
    rollouts.record_rollback(bank.old, bank.uae, reason="Ordered.", incident="INC-204", by=scene.actor("sami"))
    assert [each.kind for each in emergency_review.pressing(now)] == ["rollback"]
    emergency_clock.follow_up()
    row.refresh_from_db()
    assert row.replaced_at is not None
    assert log.history(row.subject)[0].event == "emergency.replaced"


def test_a_rollback_opens_a_review_and_holds_the_model_when_nobody_looks(bank: Bank, later: Later) -> None:
    deployments.record_deploy(bank.uae, bank.old, "all_at_once", "seed", "seed", by=scene.SET_UP)
    deployments.record_deploy(bank.uae, bank.new, "all_at_once", "seed", "seed2", by=scene.SET_UP)
    rollouts.record_rollback(bank.old, bank.uae, reason="Latency.", incident="INC-9", by=scene.actor("sami"))
    (row,) = Emergency.objects.all()
    assert (row.kind, row.state, row.incident) == ("rollback", "confirmed", "INC-9")
    assert row.review_by == ["compliance_officer", "dpo"]
    assert {each["role"] for each in row.skipped} == {"ml_lead", "compliance_officer"}
    assert log.history(row.subject)[0].event == "emergency.review_opened"
    scene.approved(bank)
    assert asked(bank).verdict.outcome == "allow"
    later(timedelta(days=2, seconds=1))
    assert asked(bank).verdict.outcome == "deny"
    with pytest.raises(NotPermitted):
        review(row, "sami")
    review(row)
    assert asked(bank).verdict.outcome == "allow"


def test_a_rollback_where_nobody_would_sign_opens_none(bank: Bank) -> None:
    for number, version in enumerate((bank.old, bank.new)):
        deployments.record_deploy(bank.staging, version, "all_at_once", "seed", f"seed{number}", by=scene.SET_UP)
    rollouts.record_rollback(bank.old, bank.staging, reason="Latency.", incident="INC-9", by=scene.actor("sami"))
    assert not Emergency.objects.exists()


def test_the_clock_blocks_open_promotions_and_says_why(bank: Bank, later: Later) -> None:
    deployed(bank)
    promotion = scene.request(bank, version=bank.old)
    later(DUE)
    emergency_clock.follow_up()
    promotion.refresh_from_db()
    assert promotion.state == "blocked"


def test_a_program_reviews_nothing(bank: Bank) -> None:
    row = running(bank)
    for by in (personas.get("ci").actor, Actor.system("installer")):
        with pytest.raises(NotPermitted) as refusal:
            emergency_review.review(
                row.reference, ratified=True, reason="Fine.", reauthenticated_at=timezone.now(), by=by
            )
        assert refusal.value.code == "emergency.not_a_person"


def _alerts(row: Emergency) -> list[str]:
    rows = fetch("SELECT state FROM audit.alert WHERE subject = %s ORDER BY id", [emergency_review.alert(row)])
    return [state for (state,) in rows]
