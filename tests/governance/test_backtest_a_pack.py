"""A draft is tried on every stored decision and on what serves, before a second person puts it in force."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from audit import queries as log
from audit.refusals import NotKnown, NotPermitted, Refused
from governance import backtests, gate, packs, policies, rollouts
from governance.models.backtest import Backtest, BacktestState
from governance.models.decision import Decision
from governance.models.policy import PolicyPack
from governance.policies.facts import digest_of
from tests.governance import scene
from tests.governance.policies.cases import without_cases
from tests.governance.scene import Bank

Api = Callable[[str], Client]


def next_version(slug: str, *changes: tuple[str, str]) -> str:
    text = without_cases(policies.shipped_packs()[slug]).replace("version: 1\n", "version: 2\n", 1)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


def drafted(slug: str, *changes: tuple[str, str]) -> PolicyPack:
    return packs.draft(next_version(slug, *changes), by=scene.actor("omar"))


def tried(pack: PolicyPack) -> Backtest:
    row = backtests.request(pack.slug, pack.version, by=scene.actor("omar"))
    assert backtests.perform(row.pk) == "finished"
    row.refresh_from_db()
    return row


def history_of_a_bank(bank: Bank) -> None:
    """Decisions of each outcome: pending, allowed, deployed, denied elsewhere, a rollback."""
    scene.approved(bank)
    answer = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    assert answer.decision is not None
    rollouts.record_deploy(
        answer.decision.public_id, secret=answer.secret, environment="prod-uae", by=scene.actor("ci")
    )
    gate.check(bank.old, bank.uae, by=scene.actor("ci"))
    gate.check(bank.new, bank.frankfurt, by=scene.actor("ci"))
    gate.check(bank.new, bank.staging, by=scene.actor("ci"))
    gate.check(bank.new, bank.uae, action="rollback", by=scene.actor("ci"))


THREE = (
    ("- {role: compliance_officer, n: 1}", "- {role: compliance_officer, n: 1}\n      - {role: dpo, n: 1}"),
    ("min_people: 2", "min_people: 3"),
)


def test_a_tighter_quorum_flips_exactly_what_a_hand_count_gives(bank: Bank) -> None:
    history_of_a_bank(bank)
    allowed_by_two = {
        row.public_id
        for row in Decision.objects.filter(outcome="allow")
        if row.signoff["state"] == "approved"  # a rollback and staging ask for nobody
    }
    assert allowed_by_two
    row = tried(drafted("two-person-production", *THREE))
    found = {each["decision"]: each for each in row.result["flips"]}
    assert set(found) == allowed_by_two
    assert {(each["then"], each["now"]) for each in found.values()} == {("allow", "pending")}
    deployed = Decision.objects.get(permits__consumed_at__isnull=False).public_id
    assert [each["decision"] for each in found.values() if each["serves"]] == [deployed]
    counted = row.result["decisions"]
    assert counted["looked_at"] == Decision.objects.count()
    assert sum(counted["outcomes"].values()) + row.result["left_out"]["count"] == counted["looked_at"]
    assert counted["outcomes"]["allow pending"] == len(allowed_by_two)


def test_a_draft_that_changes_nothing_flips_nothing(bank: Bank) -> None:
    history_of_a_bank(bank)
    row = tried(drafted("uae-pdpl"))
    assert (row.numbers["flips"], row.numbers["would_fall"], row.numbers["left_out"]) == (0, 0, 0)


def test_what_serves_and_would_fall_is_listed_with_its_rule(bank: Bank) -> None:
    history_of_a_bank(bank)
    row = tried(drafted("uae-pdpl", ('"azure:uaenorth", ', "")))
    fallen = row.result["live"]["deployments"]
    assert [(each["version"], each["environment"], each["today"], each["now"]) for each in fallen] == [
        (bank.new.label, "prod-uae", "allow", "deny")
    ]
    assert fallen[0]["rules"] == ["AE-RES-001"]
    assert row.numbers["would_fall"] == 1
    assert {rule for each in row.result["flips"] for rule in each["rules"]} == {"AE-RES-001"}
    assert Decision.objects.filter(action="run").count() == 0


def test_a_new_pack_is_tried_besides_the_others(bank: Bank) -> None:
    history_of_a_bank(bank)
    text = next_version("registry-hygiene", ("pack: registry-hygiene", "pack: no-rollbacks")).replace(
        "version.trained_by.size() > 0", "promotion.action != 'rollback'"
    )
    row = tried(packs.draft(text, by=scene.actor("omar")))
    assert [(each["then"], each["now"]) for each in row.result["flips"]] == [("allow", "deny")]


def test_who_drafted_it_cannot_activate_nor_anybody_before_it_was_tried(bank: Bank) -> None:
    pack = drafted("two-person-production", *THREE)
    with pytest.raises(Refused) as refusal:
        packs.activate(pack.slug, 2, reason="Stricter.", by=scene.actor("dana"))
    assert refusal.value.code == "pack.no_backtest"
    row = tried(pack)
    with pytest.raises(NotPermitted):
        packs.activate(pack.slug, 2, reason="Stricter.", by=scene.actor("omar"))
    with pytest.raises(NotPermitted) as refused:
        packs.activate(pack.slug, 2, reason="Stricter.", by=scene.actor("ci"))
    assert refused.value.code == "pack.person"
    packs.activate(pack.slug, 2, reason="Stricter.", by=scene.actor("dana"))
    entry = next(each for each in log.history(pack.subject) if each.event == "pack.activated")
    assert (entry.facts["backtest"], entry.facts["result_digest"]) == (row.pk, row.result_digest)


def test_old_decisions_keep_their_verdict_after_the_activation(bank: Bank) -> None:
    history_of_a_bank(bank)
    before = {row.public_id: row.outcome for row in Decision.objects.all()}
    pack = drafted("two-person-production", *THREE)
    tried(pack)
    packs.activate(pack.slug, 2, reason="Stricter.", by=scene.actor("dana"))
    assert {row.public_id: row.outcome for row in Decision.objects.all() if row.public_id in before} == before
    assert gate.check(bank.new, bank.uae, by=scene.actor("ci")).verdict.signoff["state"] == "awaiting_signoff"


def test_each_step_is_an_entry_and_the_result_has_its_digest(bank: Bank) -> None:
    row = tried(drafted("uae-pdpl"))
    said = [each for each in log.history(row.pack.subject) if "backtest" in each.event]
    assert [each.event for each in said] == ["pack.backtest_finished", "pack.backtest_requested"]
    assert said[0].facts["result_digest"] == row.result_digest == digest_of(row.result)
    assert backtests.perform(row.pk) == "ignored"


def test_what_was_found_cannot_be_rewritten(bank: Bank) -> None:
    row = tried(drafted("uae-pdpl"))
    for change in ({"through": 99}, {"result": {}}, {"result_digest": "sha256:0"}, {"error": "x"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Backtest.objects.filter(pk=row.pk).update(**change)
    waiting = backtests.request("uae-pdpl", 2, by=scene.actor("omar"))
    with pytest.raises(DatabaseError), transaction.atomic():
        Backtest.objects.filter(pk=waiting.pk).update(requested_by="user:nobody")


def test_decisions_that_cannot_be_made_again_are_counted_and_named(bank: Bank) -> None:
    history_of_a_bank(bank)
    newest = Decision.objects.latest("pk")
    newest.pk, newest.public_id, newest.facts, newest.inputs = None, "dec_EMPTY", {}, {}
    with transaction.atomic():
        newest.save(force_insert=True)
        row = tried(drafted("uae-pdpl"))
        transaction.set_rollback(True)
    assert row.result["left_out"]["count"] == 1
    assert row.result["left_out"]["first"][0]["decision"] == "dec_EMPTY"


def test_a_failure_is_recorded_and_a_version_that_is_not_stored_refused(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotKnown):
        backtests.request("uae-pdpl", 9, by=scene.actor("omar"))
    row = backtests.request("uae-pdpl", 1, by=scene.actor("omar"))

    def broken(*_args: Any, **_more: Any) -> Any:
        raise ZeroDivisionError("x")

    monkeypatch.setattr(backtests, "run", broken)
    assert backtests.perform(row.pk) == "failed"
    row.refresh_from_db()
    assert (row.state, row.error) == (BacktestState.FAILED, "ZeroDivisionError: x")


def test_the_whole_way_by_api(bank: Bank, api_for: Api, client_for: Api) -> None:
    history_of_a_bank(bank)
    omar, dana = api_for("omar"), client_for("dana")

    def post(client: Client, path: str, body: object) -> Any:
        return client.post(path, json.dumps(body), content_type="application/json")

    text = next_version("two-person-production", *THREE)
    bad = post(omar, "/api/v1/policies/lint", {"text": text.replace("environment.tier", "environment.teir")})
    assert bad.status_code == 400
    assert "teir" in str(bad.json())
    good = post(omar, "/api/v1/policies/lint", {"text": text})
    assert (good.status_code, good.json()["pack"]) == (200, "two-person-production")
    assert not PolicyPack.objects.filter(version=2).exists()
    made = post(omar, "/api/v1/policies", {"text": text, "reason": "Three people."})
    assert (made.status_code, made.json()["state"]) == (201, "draft")
    asked = post(omar, "/api/v1/policies/two-person-production/2/backtests", {})
    assert (asked.status_code, asked.json()["state"]) == (202, "requested")
    address = f"/api/v1/backtests/{asked.json()['id']}"
    assert omar.get(address).json()["result"] is None
    backtests.perform(asked.json()["id"])
    done = omar.get(address).json()
    assert done["result"]["decisions"]["flips"] == done["numbers"]["flips"] > 0
    activate = "/api/v1/policies/two-person-production/2/activate"
    assert post(omar, activate, {"reason": "Stricter."}).status_code == 403
    assert post(client_for("omar"), activate, {"reason": "Stricter."}).json()["code"] == "pack.self_activation"
    assert post(dana, activate, {"reason": " "}).status_code == 400
    assert post(dana, activate, {"reason": "Stricter."}).json()["state"] == "active"
    assert post(api_for("noor"), activate, {"reason": "x"}).status_code == 403
    assert omar.get("/api/v1/backtests/999999").status_code == 404
