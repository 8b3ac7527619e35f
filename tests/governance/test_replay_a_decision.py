"""A decision is made again from what was stored; one changed byte anywhere is told and raises an alert."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
import pytest
from django.test import Client

from audit import queries as log
from audit.refusals import Refused
from governance import backtests, gate, packs, policies, replay, rollouts
from governance.models.decision import Decision
from tests.conftest import CommittedDatabase
from tests.governance import scene
from tests.governance.policies.cases import without_cases
from tests.governance.scene import Bank


def tampered(own: CommittedDatabase, decision: Decision, column: str, value: Any) -> Decision:
    """The row after somebody with all power over the database changed it behind every trigger."""
    stored = json.dumps(value) if isinstance(value, dict | list) else value
    _as_superuser(own, f"UPDATE governance_decision SET {column} = %s WHERE id = %s", stored, decision.pk)
    return Decision.objects.get(pk=decision.pk)


def _as_superuser(own: CommittedDatabase, statement: LiteralString, *values: Any) -> None:
    with psycopg.connect(own.admin_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(statement, values)


def checked(bank: Bank, **more: Any) -> Decision:
    answer = gate.check(bank.new, more.pop("place", bank.uae), by=scene.actor("ci"), **more)
    assert answer.decision is not None
    return answer.decision


def alerts_of(decision: Decision) -> list[str]:
    return [row.event for row in log.history(f"alert:replay/{decision.public_id}")]


def test_every_kind_of_decision_comes_out_the_same(bank: Bank) -> None:
    scene.approved(bank)
    answer = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    assert answer.decision is not None
    rollouts.record_deploy(
        answer.decision.public_id, secret=answer.secret, environment="prod-uae", by=scene.actor("ci")
    )
    checked(bank, place=bank.frankfurt)
    checked(bank, place=bank.staging)
    checked(bank, action="rollback")
    words = set(Decision.objects.values_list("outcome", flat=True))
    assert words == {"allow", "deny", "pending"}
    for decision in Decision.objects.all():
        done = replay.replay(decision, by=scene.actor("noor"))
        assert (done.same, done.differences, done.word) == (True, (), decision.outcome)
        assert done.digest == done.recorded_digest == decision.result_digest
        assert alerts_of(decision) == []


def test_it_holds_though_people_packs_and_data_changed_since(bank: Bank) -> None:
    scene.approved(bank)
    decision = checked(bank)
    packs.draft(
        without_cases(policies.shipped_packs()["two-person-production"])
        .replace("version: 1", "version: 2")
        .replace("n: 1", "n: 2"),
        by=scene.actor("omar"),
    )
    backtests.perform(backtests.request("two-person-production", 2, by=scene.actor("omar")).pk)
    packs.activate("two-person-production", 2, reason="Stricter.", by=scene.actor("dana"))
    assert replay.replay(decision, by=scene.actor("noor")).same
    found = replay.what_if(decision)
    assert (decision.outcome, found.word) == ("allow", "pending")
    assert Decision.objects.count() == len({row.public_id for row in Decision.objects.all()})


def _flipped(digest: str) -> str:
    return digest[:-1] + ("0" if digest[-1] != "0" else "1")


def _changes(row: Decision) -> list[tuple[str, Any]]:
    """One changed value in each column that a decision is made of."""
    return [
        ("outcome", "deny"),
        ("summary", row.summary + " "),
        ("action", "run"),
        ("facts_digest", _flipped(row.facts_digest)),
        ("result_digest", _flipped(row.result_digest)),
        ("result_digest", ""),
        ("subject_digest", _flipped(row.subject_digest)),
        ("facts", {**row.facts, "model": {**row.facts["model"], "risk": "minimal"}}),
        ("facts", {}),
        ("inputs", {**row.inputs, "signoffs_needed": False}),
        ("inputs", {**row.inputs, "people": {**row.inputs["people"], "requester": "user:nobody"}}),
        ("inputs", {}),
        ("findings", row.findings[1:]),
        ("signoff", {**row.signoff, "state": "rejected"}),
        ("packs", row.packs[1:]),
        ("subject_parts", {**row.subject_parts, "risk": "minimal"}),
    ]


def test_one_changed_value_anywhere_is_told_recorded_and_raises_an_alert(committed_db: CommittedDatabase) -> None:
    bank = scene.build()
    scene.approved(bank)
    decision = checked(bank)
    assert decision.outcome == "allow"
    for round_, (column, value) in enumerate(_changes(decision), start=1):
        changed = tampered(committed_db, decision, column, value)
        done = replay.replay(changed, by=scene.actor("noor"))
        assert not done.same, column
        assert done.differences, column
        entry = next(row for row in log.history(changed.subject) if row.event == "decision.contradicted")
        assert entry.actor_id == scene.actor("noor").id
        assert entry.facts["differences"] == list(done.differences)
        assert alerts_of(decision).count("alert.raised") == round_
        replay.replay(changed, by=scene.actor("noor"))
        assert alerts_of(decision).count("alert.raised") == round_
        put_back = tampered(committed_db, decision, column, getattr(decision, column))
        assert replay.replay(put_back, by=scene.actor("noor")).same, column
        assert alerts_of(decision)[0] == "alert.resolved"


def test_a_pack_whose_text_was_changed_is_told(committed_db: CommittedDatabase) -> None:
    bank = scene.build()
    decision = checked(bank, place=bank.frankfurt)
    _as_superuser(committed_db, "UPDATE governance_policypack SET text = text || ' ' WHERE slug = %s", "uae-pdpl")
    done = replay.replay(decision, by=scene.actor("noor"))
    assert not done.same
    assert "uae-pdpl v1" in done.differences[0]
    _as_superuser(committed_db, "DELETE FROM governance_policypack WHERE slug = %s", "uae-pdpl")
    assert "is not stored" in replay.replay(decision, by=scene.actor("noor")).differences[0]


def test_a_decision_that_was_never_recorded_is_told(bank: Bank) -> None:
    decision = checked(bank)
    decision.public_id = "dec_INVENTED"
    assert "no entry" in replay.replay(decision, by=scene.actor("noor")).differences[0]


def test_what_holds_nothing_to_replay_says_so_and_raises_no_alert(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_now: object) -> None:
        raise policies.PackError(())

    monkeypatch.setattr("governance.facts.active_packs", broken)
    decision = checked(bank)
    assert decision.outcome == "error"
    with pytest.raises(Refused) as refusal:
        replay.replay(decision, by=scene.actor("noor"))
    assert refusal.value.code == "replay.no_facts"
    assert alerts_of(decision) == []


def test_the_api_replays_and_asks_what_if(bank: Bank, api_for: Callable[[str], Client]) -> None:
    decision = checked(bank, place=bank.frankfurt)
    client = api_for("noor")
    address = f"/api/v1/decisions/{decision.public_id}/replay"
    answer = client.post(address, {}, content_type="application/json")
    assert answer.status_code == 200, answer.content
    assert answer.json()["same"] is True
    found = client.post(address, {"packs": "now"}, content_type="application/json").json()
    assert found["now"]["decision"] == "deny"
    assert client.post(address, {"packs": "never"}, content_type="application/json").status_code == 400
    assert client.post("/api/v1/decisions/dec_X/replay", {}, content_type="application/json").status_code == 404
