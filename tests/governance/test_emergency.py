"""Break-glass: two people, exactly one subject, bounded time; only the signatures are skipped, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotPermitted, Refused
from governance import accounts, backtests, emergency, packs, policies, replay, rollouts, transfers, ways
from governance.models.emergency import Emergency
from governance.policies.breaking import lane
from governance.policies.quorum import Missing
from governance.policies.stored import outcome
from registry import incidents
from tests import personas
from tests.governance import scene
from tests.governance.breaking import Later, asked, confirm, declare, later, running
from tests.governance.scene import Bank

__all__ = ["later"]
RULE = "PROD-TWO-PEOPLE"
SHIPPED = policies.shipped_packs()["two-person-production"]
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_declared_emergency_lets_nothing_go(bank: Bank) -> None:
    row = declare(bank)
    assert row.reference == f"EM-{timezone.now():%Y}-{row.pk:04d}"
    assert {(each["role"], each["n"]) for each in row.skipped} == {("compliance_officer", 1), ("ml_lead", 1)}
    entry = log.history(row.subject)[0]
    assert (entry.event, entry.facts["version"]) == ("emergency.declared", bank.new.subject)
    answer = asked(bank)
    assert (answer.verdict.outcome, answer.permit) == ("pending", None)
    assert "emergencies" not in answer.verdict.facts


def test_two_people_let_exactly_this_go_and_everything_says_so(bank: Bank) -> None:
    row = running(bank)
    answer = asked(bank)
    verdict = answer.verdict
    assert (verdict.outcome, answer.permit is not None) == ("allow", True)
    assert verdict.summary.startswith(f"Emergency {row.reference}")
    assert verdict.signoff["emergency"] == row.reference
    assert (verdict.signoff["state"], verdict.signoff["missing"]) == ("emergency", [])
    assert {each["role"] for each in verdict.signoff["skipped"]} == {"ml_lead", "compliance_officer"}
    found = next(each for each in verdict.findings if each["rule"] == RULE)
    assert (found["outcome"], found["severity"], found["waived_by"]) == ("fail", "block", row.reference)
    assert verdict.valid_until == row.ends_at
    assert answer.decision is not None
    entry = next(each for each in log.history(answer.decision.subject) if each.event == "decision.recorded")
    assert entry.facts["emergency"] == row.reference
    assert {"rule": RULE, "subject": bank.new.subject, "outcome": "fail", "waived_by": row.reference} in entry.facts[
        "rules"
    ]


def test_its_permit_deploys_once_and_the_promotion_is_deployed(bank: Bank) -> None:
    promotion = scene.request(bank)
    running(bank)
    promotion.refresh_from_db()
    assert promotion.state == "approved", "its page says so at once"
    answer = asked(bank)
    assert answer.decision is not None
    rollouts.record_deploy(
        answer.decision.public_id, secret=answer.secret, environment="prod-uae", by=scene.actor("ci")
    )
    promotion.refresh_from_db()
    assert promotion.state == "deployed"


def test_a_decision_of_an_emergency_replays_to_the_same_digest(bank: Bank, later: Later) -> None:
    row = running(bank)
    decision = asked(bank).decision
    assert decision is not None
    later(timedelta(days=9))
    again = replay.replay(decision, by=scene.actor("noor"))
    assert again.same
    assert (again.word, again.digest) == ("allow", decision.result_digest)
    assert decision.facts["emergencies"][0]["id"] == row.reference
    assert replay.what_if(decision).word == "allow"
    facts, inputs = replay.kept(decision)
    assert outcome(replay.packs_of(decision), facts, inputs) == "allow", "the back-test asks for the word alone"
    assert ways.to_pass(decision).word == "allow"


def test_decisions_without_an_emergency_hold_no_word_of_it(bank: Bank) -> None:
    assert {"emergencies", "reviews"}.isdisjoint(asked(bank).verdict.facts)


def test_it_ends_by_time_without_any_task_and_its_permit_with_it(bank: Bank, later: Later) -> None:
    scene.request(bank)
    running(bank, hours=1)
    answer = asked(bank)
    assert answer.permit is not None
    assert answer.decision is not None
    later(timedelta(hours=1, seconds=1))
    assert asked(bank).verdict.outcome == "pending"
    with pytest.raises(Refused) as refusal:
        rollouts.record_deploy(
            answer.decision.public_id, secret=answer.secret, environment="prod-uae", by=scene.actor("ci")
        )
    assert refusal.value.code == "permit.expired"


def test_a_permit_of_an_emergency_that_was_ended_is_refused(bank: Bank) -> None:
    row = running(bank)
    answer = asked(bank)
    assert answer.decision is not None
    emergency.stop(row.reference, reason="The old version works again.", by=scene.actor("omar"))
    with pytest.raises(Refused) as refusal:
        rollouts.record_deploy(
            answer.decision.public_id, secret=answer.secret, environment="prod-uae", by=scene.actor("ci")
        )
    assert refusal.value.code == "permit.no_longer_allowed"
    assert asked(bank).verdict.outcome == "pending"
    row.refresh_from_db()
    assert (row.state, row.review_due_at is not None) == ("confirmed", True), "its review stays due"


def test_it_is_for_no_other_version_and_no_other_environment(bank: Bank) -> None:
    running(bank)
    elsewhere = scene.environment("prod-two", "prod", "azure:uaenorth", "AE-federal")
    assert asked(bank, version=bank.old).verdict.outcome == "pending"
    assert asked(bank, environment=elsewhere).verdict.outcome == "pending"


def test_a_subject_that_changed_voids_it(bank: Bank) -> None:
    running(bank)
    assert asked(bank).verdict.outcome == "allow"
    scene.in_force(packs.draft(scene.run_on_record(severity="warn", environment="prod-uae"), by=scene.actor("omar")))
    verdict = asked(bank).verdict
    assert (verdict.outcome, "emergency" in verdict.signoff) == ("pending", False)


def test_a_subject_that_changed_between_the_two_people_is_declared_anew(bank: Bank) -> None:
    row = declare(bank)
    scene.in_force(packs.draft(scene.run_on_record(severity="warn", environment="prod-uae"), by=scene.actor("omar")))
    with pytest.raises(Conflict) as refusal:
        confirm(row)
    assert refusal.value.code == "emergency.stale_subject"


def test_a_residency_denial_stays(bank: Bank) -> None:
    with pytest.raises(Refused) as refusal:
        declare(bank, environment=bank.frankfurt)
    assert refusal.value.code == "emergency.denied"
    assert refusal.value.reasons
    scene.cover(days=1)
    row = running(bank, environment=bank.frankfurt)
    assert asked(bank, environment=bank.frankfurt).verdict.outcome == "allow"
    transfers.revoke("TS-1", reason="The recipient was sold.", by=scene.actor("dana"))
    assert asked(bank, environment=bank.frankfurt).verdict.outcome == "deny"
    row.refresh_from_db()
    assert row.state == "confirmed"


def test_an_incident_that_is_frozen_holds_it(bank: Bank) -> None:
    running(bank)
    incident = incidents.open_incident(
        "Unlawful source", root=bank.loans.subject, since=SINCE, reason="Sold on.", by=scene.actor("omar")
    )
    incidents.freeze(incident.reference, reason="Held.", by=scene.actor("omar"))
    assert asked(bank).verdict.outcome == "deny"


def test_a_rejection_stands(bank: Bank) -> None:
    promotion = scene.request(bank)
    row = declare(bank)
    scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    with pytest.raises(Refused) as refusal:
        confirm(row)
    assert refusal.value.code == "emergency.denied"
    assert asked(bank).verdict.outcome == "deny"


def test_a_rule_that_does_not_say_break_glass_cannot_be_broken(bank: Bank) -> None:
    running(bank)
    text = SHIPPED
    start, end = text.index("    # Who keeps it running"), text.index("# What is not said")
    closed = (text[:start] + text[end:]).replace("version: 1\n", "version: 2\n", 1)
    scene.in_force(packs.draft(closed, by=scene.actor("omar")))
    assert asked(bank).verdict.outcome == "pending"
    with pytest.raises(Refused) as refusal:
        declare(bank, version=bank.old)
    assert refusal.value.code == "emergency.not_breakable"
    assert RULE in refusal.value.sentence


@pytest.mark.parametrize(
    ("kept", "outcome"), [("residency", "allow"), ("residency, LAB-RUN-001", ""), ("residency, lab-runs", "")]
)
def test_what_is_only_waived_and_must_hold_by_itself_is_no_emergency(bank: Bank, kept: str, outcome: str) -> None:
    text = SHIPPED.replace("version: 1\n", "version: 2\n", 1)
    scene.in_force(packs.draft(text.replace("[residency]", f"[{kept}]"), by=scene.actor("omar")))
    scene.enforced(environment="prod-uae")
    scene.excuse(bank, environment=bank.uae)
    if outcome:
        running(bank)
        assert asked(bank).verdict.outcome == outcome
        return
    with pytest.raises(Refused) as refusal:
        declare(bank)
    assert refusal.value.code == "emergency.stacked"


def test_what_is_waived_only_after_it_began_ends_the_lane(bank: Bank) -> None:
    """The engine asks again: a row is not believed."""
    text = SHIPPED.replace("version: 1\n", "version: 2\n", 1).replace("[residency]", "[residency, LAB-RUN-001]")
    scene.in_force(packs.draft(text, by=scene.actor("omar")))
    running(bank)
    decision = asked(bank).decision
    assert decision is not None
    facts, inputs = replay.kept(decision)
    found = policies.decide(replay.packs_of(decision), facts, inputs)
    assert found.decision.word == "allow"
    failed = found.decision.findings[-1]._replace(
        rule="LAB-RUN-001", outcome="fail", severity="block", waived_by="WV-1"
    )
    terms = policies.terms_of(replay.packs_of(decision), facts, [Missing("PROD-TWO-PEOPLE", "ml_lead", 1)])
    again = replace(found.decision, findings=(failed,))
    assert policies.stacked(terms, again, replay.packs_of(decision)) == (failed,)
    given = (replay.packs_of(decision), facts, inputs.people, decision.subject_digest)
    waits = policies.signoff_state(given[0], facts, (), inputs.people, decision.subject_digest)
    pending = replace(found.decision, word="pending", findings=())
    assert lane(pending, waits, *given)[0].word == "allow"
    only_waived = replace(pending, findings=(failed,))
    assert lane(only_waived, waits, *given) == (only_waived, ""), "the engine itself does not let it go"


def test_who_lost_the_role_lets_nothing_go_any_more(bank: Bank) -> None:
    running(bank)
    accounts.revoke_role(personas.get("sami"), "operator", reason="Moved.", by=scene.SET_UP)
    assert asked(bank).verdict.outcome == "pending"


def test_it_is_withdrawn_before_it_begins_by_one_person(bank: Bank) -> None:
    row = declare(bank)
    with pytest.raises(NotPermitted):
        emergency.stop(row.reference, reason="No.", by=scene.actor("amir"))
    with pytest.raises(BadInput):
        emergency.stop(row.reference, reason=" ", by=scene.actor("layla"))
    emergency.stop(row.reference, reason="False alarm.", by=scene.actor("layla"))
    row.refresh_from_db()
    assert row.state == "withdrawn"
    with pytest.raises(Conflict):
        confirm(row)


def test_a_row_past_the_functions_lets_nothing_go(committed_db: object) -> None:
    bank = scene.build()
    row = declare(bank)
    now = timezone.now()
    with pytest.raises(DatabaseError), transaction.atomic():
        Emergency.objects.filter(pk=row.pk).update(
            state="confirmed",
            confirmed_by=scene.actor("sami").id,
            starts_at=now,
            ends_at=now + timedelta(hours=1),
            review_due_at=now + timedelta(hours=2),
        )
    assert asked(bank).verdict.outcome == "pending"


@pytest.mark.parametrize(
    "change",
    [
        {"subject_digest": "sha256:" + "0" * 64},
        {"incident": "INC-1"},
        {"duration": timedelta(days=3)},
        {"review_by": ["x"]},
    ],
)
def test_the_database_keeps_what_was_declared(bank: Bank, change: dict[str, Any]) -> None:
    declare(bank)
    with pytest.raises(DatabaseError), transaction.atomic():
        Emergency.objects.update(**change)


def test_a_backtest_and_the_gate_agree(bank: Bank) -> None:
    running(bank)
    asked(bank)
    text = policies.shipped_packs()["two-person-production"].replace("version: 1\n", "version: 2\n", 1)
    packs.draft(text, by=scene.actor("omar"))
    row = backtests.request("two-person-production", 2, by=scene.actor("omar"))
    backtests.perform(row.pk)
    row.refresh_from_db()
    assert row.state == "finished"


@pytest.mark.parametrize(
    "change",
    [
        {"ends_at": "2026-01-01T00:00:00Z"},
        {"starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-01-01T01:00:00Z"},
        {"starts_at": "2020-01-01T00:00:00Z"},
        {"version": "version:credit-scoring/13"},
        {"environment": "prod-two"},
        {"subject_digest": "sha256:" + "0" * 64},
        {"confirmed_by": "layla"},
        {"confirmed_by": "yusuf"},
        {"confirmed_by": "amir"},
        {"confirmed_by": "ci"},
        {"invoked_by": "omar"},
    ],
)
def test_the_engine_takes_nothing_on_trust(bank: Bank, change: dict[str, str]) -> None:
    """Whoever writes the row, the facts alone decide, and a replay asks the same."""
    running(bank)
    decision = asked(bank).decision
    assert decision is not None
    facts, inputs = replay.kept(decision)
    packs_then = replay.packs_of(decision)
    assert policies.decide(packs_then, facts, inputs).decision.word == "allow"
    named = {key: scene.actor(value).id if key.endswith("_by") else value for key, value in change.items()}
    others = [{**each, **named} for each in facts.document["emergencies"]]
    everybody = replace(
        inputs.people,
        roles={
            **inputs.people.roles,
            **{personas.get(name).actor.id: frozenset(personas.get(name).roles) for name in ("omar", "amir", "yusuf")},
        },
    )
    other = policies.thaw({**facts.document, "emergencies": others})
    again = replace(inputs, people=everybody)
    assert policies.decide(packs_then, other, again).decision.word == "pending"
    assert outcome(packs_then, other, again) == "pending"
