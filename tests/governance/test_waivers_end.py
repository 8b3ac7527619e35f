"""What a waiver touches beside the gate: its end, signatures, what is shared, flows, erasure, earlier decisions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, Refusal
from governance import accounts, decisions, erasure, gate, packs, promotions, rechecks, replay, tasks, waivers
from governance.facts import Case
from governance.models.decision import Action, Decision
from governance.models.promotion import PromotionState
from registry import finding_wording
from registry.models import Deployment, Finding
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.waiving import RULE, Later, approve, asked, lab, later

__all__ = ["lab", "later"]


def test_when_it_ends_the_gate_denies_and_what_serves_is_a_finding_that_names_it(lab: Bank, later: Later) -> None:
    row = scene.excuse(lab)
    serving = scene.serve(lab, place=lab.staging)
    assert rechecks.follow_up() == []
    assert rechecks.recheck().opened == 0
    later(timedelta(days=30, seconds=2))
    assert asked(lab).outcome == "deny"
    assert rechecks.follow_up() == [row.reference]
    [finding] = Finding.objects.unlawful()
    assert (finding.concerns, finding.observed["rule"]) == (serving.subject, RULE)
    assert finding.observed["waiver"] == row.reference
    assert finding.observed["ended"] == f"{row.ends_at:%Y-%m-%dT%H:%M:%SZ}"
    sentence = finding_wording.sentence(finding)
    assert f"no longer allowed since {row.reference} ended on {row.ends_at:%Y-%m-%dT%H:%M:%SZ}" in sentence
    assert f"({RULE}, Model handbook 4.2)" in sentence
    entry = log.history(row.subject)[0]
    assert (entry.event, entry.facts["how"], entry.facts["deployments"]) == (
        "waiver.ended",
        "expired",
        [serving.subject],
    )
    before = log.search().rows[0].index
    assert rechecks.follow_up() == []
    assert log.search().rows[0].index == before, "once"
    another = scene.propose(lab, ends_at=timezone.now() + timedelta(days=5))
    approve(another, reauthenticated_at=timezone.now())
    assert rechecks.follow_up() == []
    assert not Finding.objects.unlawful().exists(), "excused again"


def test_another_text_of_the_pack_has_to_be_waived_anew(lab: Bank) -> None:
    scene.excuse(lab)
    waiting = scene.propose(lab)
    assert asked(lab).outcome != "deny"
    scene.enforced(version=2)
    assert asked(lab).outcome == "deny"
    with pytest.raises(Refusal) as refusal:
        approve(waiting)
    assert refusal.value.code == "waiver.pack_changed"
    scene.excuse(lab)
    assert asked(lab).outcome != "deny"


def test_a_revocation_is_followed_up_at_once(lab: Bank, django_capture_on_commit_callbacks: Any) -> None:
    row = scene.excuse(lab)
    scene.excuse(lab, environment=lab.staging, version=lab.old, subjects=[lab.old.subject])
    scene.serve(lab, place=lab.staging)
    with django_capture_on_commit_callbacks(execute=True) as ordered:
        waivers.revoke(row.reference, reason="Not kept.", by=scene.actor("omar"))
    assert len(ordered) == 1
    assert tasks.follow_up_safeguards() == 1
    [finding] = Finding.objects.unlawful()
    assert finding.observed["waiver"] == row.reference
    assert log.history(row.subject)[0].facts["how"] == "revoked"


def test_a_proposal_that_nobody_approved_ends_without_a_word(lab: Bank, later: Later) -> None:
    scene.propose(lab, days=1)
    later(timedelta(days=2))
    assert rechecks.follow_up() == []


def test_signatures_are_bound_to_the_waiver(bank: Bank, later: Later) -> None:
    scene.enforced(environment="prod-uae")
    promotion = scene.request(bank)
    assert promotion.state == PromotionState.BLOCKED
    with pytest.raises(Refusal):
        scene.sign(promotion, "layla", "ml_lead")
    scene.excuse(bank, environment=bank.uae, days=2)
    promotion.refresh_from_db()
    assert (promotion.state, promotion.round) == (PromotionState.IN_REVIEW, 2), "decided again at once"
    scene.sign(promotion, "layla", "ml_lead")
    scene.sign(promotion, "omar", "compliance_officer")
    promotion.refresh_from_db()
    assert promotion.state == PromotionState.APPROVED
    later(timedelta(days=3))
    promotions.refresh(promotion.pk, by=decisions.ENGINE)
    promotion.refresh_from_db()
    assert (promotion.state, promotion.round) == (PromotionState.BLOCKED, 3)


def test_shared_facts_hold_the_waivers_that_each_case_would_read_alone(lab: Bank) -> None:
    scene.excuse(lab)
    scene.propose(lab, days=5)
    gone = scene.excuse(lab, days=6)
    waivers.revoke(gone.reference, reason="Twice.", by=scene.actor("omar"))
    scene.serve(lab, lab.old, lab.uae)
    row = scene.serve(lab, place=lab.staging)
    shared = rechecks.read(rechecks.serving())
    case = Case(row.version, row.environment, Action.RUN, {"strategy": row.strategy}, rechecks.CLOCK.id)
    alone = decisions.evaluate(case, needs_signoffs=False)
    with rechecks.sharing.using(shared):
        together = decisions.evaluate(case, needs_signoffs=False)
    assert len(alone.facts["waivers"]) == 2
    assert {**together.facts, "now": ""} == {**alone.facts, "now": ""}
    assert together.findings == alone.findings
    assert all(each.lawful for each in rechecks.judge(Deployment.objects.open().with_names(), shared))


def test_a_rule_over_flows_cannot_be_waived_or_flows_to_come_would_be_excused(bank: Bank) -> None:
    text = scene.run_on_record().replace(
        "    require:\n      from_a_run: \"version.run_id != ''\"",
        '    for_each: flow\n    require:\n      public: "!flow.personal"',
    )
    with pytest.raises(BadInput, match="A rule over flows is not waivable"):
        packs.draft(text, by=scene.actor("omar"))


def test_an_approval_ends_with_the_role_of_who_gave_it(lab: Bank) -> None:
    scene.excuse(lab)
    assert asked(lab).outcome == "allow"
    serving = scene.serve(lab, place=lab.staging)
    for role in [*personas.get("dana").roles]:
        accounts.revoke_role(personas.get("dana"), role, reason="Another task.", by=scene.actor("amir"))
    assert asked(lab).outcome == "deny"
    [judged] = rechecks.judge([serving], rechecks.read([serving]))
    assert not judged.lawful, "and the same with what re-checks share"


def test_who_approved_cannot_become_the_one_who_asks(lab: Bank) -> None:
    scene.excuse(lab)
    assert asked(lab).outcome == "allow"
    theirs = gate.check(lab.new, lab.staging, by=scene.actor("dana")).verdict
    assert theirs.outcome == "deny"


def test_a_waiver_for_another_text_is_shown_as_what_it_is(lab: Bank, client_for: Callable[[str], Client]) -> None:
    row = scene.excuse(lab)
    scene.enforced(version=2)
    page = client_for("omar").get(row.get_absolute_url()).content.decode()
    assert "excuses nothing: it is for version 1 of lab-runs" in page
    assert "No rule is excused now." in client_for("omar").get("/waivers").content.decode()
    assert client_for("omar").get(f"/api/v1/waivers/{row.reference}").json()["standing"] == "superseded"


def test_a_person_with_an_open_proposal_is_not_erased_and_then_their_words_are(lab: Bank) -> None:
    given = {"reason": "Request 12", "no_legal_hold": True, "password": personas.PASSWORD}
    row = scene.propose(lab, by="layla")
    with pytest.raises(Conflict, match=row.subject):
        erasure.erase_with_password(personas.get("layla").uuid, **given, user=personas.get("amir"))
    waivers.revoke(row.reference, reason="Layla thought again.", by=scene.actor("layla"))
    erasure.erase_with_password(personas.get("layla").uuid, **given, user=personas.get("amir"))
    row.refresh_from_db()
    assert {row.reason, row.control, row.revoked_reason} == {erasure.ERASED}


def test_a_later_decision_does_not_change_an_earlier_one(lab: Bank) -> None:
    denied = gate.check(lab.new, lab.staging, by=scene.actor("ci")).decision
    scene.excuse(lab)
    assert denied is not None
    assert replay.replay(denied, by=scene.actor("noor")).same
    assert Decision.objects.get(pk=denied.pk).outcome == "deny"
