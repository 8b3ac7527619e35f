"""A waiver excuses one rule for one version in one environment, by two people, until an end; nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from audit import queries as log
from audit.actors import Actor
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refused
from governance import gate, packs, promotions, replay, waivers
from governance.models.waiver import LONGEST, Waiver
from registry import versions
from registry.lineage import edges
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.waiving import RULE, Later, about_runs, approve, asked, lab, later

__all__ = ["lab", "later"]


def test_what_is_proposed_is_on_record_and_excuses_nothing(lab: Bank) -> None:
    row = scene.propose(lab, starts_at=timezone.now())
    row.refresh_from_db()
    assert row.reference == f"WV-{timezone.now():%Y}-{row.pk:04d}"
    assert (row.state, row.pack, row.rule, row.subjects) == ("proposed", "lab-runs", RULE, [lab.new.subject])
    entry = log.history(row.subject)[0]
    assert entry.event == "waiver.proposed"
    assert (entry.facts["version"], entry.facts["environment"]) == (lab.new.subject, "staging")
    assert "control" not in entry.facts, "free text belongs into the erasable part"
    denied = asked(lab)
    assert denied.outcome == "deny"
    assert about_runs(denied)["message"] == f"{lab.new.subject} does not come from a run on record"
    assert [each["approved_by"] for each in denied.facts["waivers"]] == [""]
    assert "waivers" not in denied.subject_parts


def test_an_approved_waiver_lets_the_gate_pass_and_the_rule_still_counts_as_failed(lab: Bank) -> None:
    row = scene.excuse(lab)
    answer = gate.check(lab.new, lab.staging, by=scene.actor("ci"))
    verdict = answer.verdict
    assert (verdict.outcome, answer.permit is not None) == ("allow", True)
    found = about_runs(verdict)
    assert (found["outcome"], found["severity"], found["waived_by"]) == ("fail", "block", row.reference)
    assert verdict.subject_parts["waivers"][0]["approved_by"] == scene.actor("dana").id
    assert answer.decision is not None
    entry = next(each for each in log.history(answer.decision.subject) if each.event == "decision.recorded")
    told = next(each for each in entry.facts["rules"] if each["rule"] == RULE)
    assert told["waived_by"] == row.reference
    assert replay.replay(answer.decision, by=scene.actor("noor")).same


def test_a_decision_is_relied_on_no_longer_than_its_waiver(lab: Bank) -> None:
    row = scene.excuse(lab, ends_at=timezone.now() + timedelta(hours=2))
    assert asked(lab).valid_until == row.ends_at


@pytest.mark.parametrize("what", ["version", "environment", "rule", "subject", "not yet"])
def test_a_waiver_excuses_nothing_but_what_it_names(lab: Bank, what: str) -> None:
    change: dict[str, Any] = {
        "version": {"version": lab.old, "subjects": [lab.old.subject]},
        "environment": {"environment": lab.uae},
        "rule": {"pack": "other-runs"},
        "subject": {"subjects": [lab.loans.subject]},
        "not yet": {"starts_at": timezone.now() + timedelta(hours=1)},
    }[what]
    scene.enforced(pack="other-runs", environment="prod-uae")
    scene.excuse(lab, **change)
    assert asked(lab).outcome == "deny"
    assert about_runs(asked(lab))["waived_by"] == ""


def test_what_cannot_be_decided_is_not_excused(bank: Bank) -> None:
    scene.enforced(environment="staging")
    broken = scene.run_on_record(version=2).replace("version.run_id != ''", "int(version.run_id) > 0")
    scene.in_force(packs.draft(broken, by=scene.actor("omar")))
    scene.excuse(bank)
    verdict = asked(bank)
    assert (verdict.outcome, about_runs(verdict)["outcome"], about_runs(verdict)["waived_by"]) == ("deny", "error", "")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"control": ""}, "control"),
        ({"control": "x" * 4001}, "control"),
        ({"subjects": []}, "subjects"),
        ({"subjects": [" "]}, "subjects"),
        ({"subjects": ["version:credit-scoring/99"]}, "subjects"),
        ({"subjects": ["dataset:misspelt"]}, "subjects"),
        ({"subjects": ["environment:prod-uae"]}, "subjects"),
        ({"ends_at": datetime(2099, 1, 1)}, "ends_at"),
        ({"days": -1}, "ends_at"),
        ({"days": 91}, "ends_at"),
        ({"days": 2, "starts_at": timezone.now() + timedelta(days=3)}, "ends_at"),
        ({"starts_at": timezone.now() - timedelta(hours=1)}, "starts_at"),
        ({"starts_at": datetime(2026, 1, 1)}, "starts_at"),
        ({"starts_at": timezone.now() + timedelta(days=400), "days": 410}, "starts_at"),
        ({"pack": "no-such-pack"}, "pack"),
        ({"rule": "NO-SUCH-RULE"}, "rule"),
    ],
)
def test_what_is_wrong_with_a_proposal_is_said_at_its_field(lab: Bank, change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        scene.propose(lab, **change)
    assert list(refusal.value.fields) == [field]
    assert not Waiver.objects.exists()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"pack": "uae-pdpl", "rule": "AE-RES-001"}, "waiver.not_waivable"),
        ({"pack": "", "rule": "ENGINE-INCIDENT"}, "waiver.engine"),
        ({"pack": "", "rule": "ENGINE-COVERAGE"}, "waiver.engine"),
    ],
)
def test_a_rule_that_says_no_and_the_engine_itself_cannot_be_waived(lab: Bank, change: Any, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        scene.propose(lab, **change)
    assert refusal.value.code == code
    assert change["rule"] in refusal.value.sentence


def test_a_rule_that_does_not_say_waivable_is_not(bank: Bank) -> None:
    scene.enforced(waivable="false")
    with pytest.raises(Refused, match="Register the run that trained it"):
        scene.propose(bank)


def test_a_pack_that_is_only_a_draft_is_not_in_force(bank: Bank) -> None:
    packs.draft(scene.run_on_record(), by=scene.actor("omar"))
    with pytest.raises(BadInput, match="No pack lab-runs is in force"):
        scene.propose(bank)


def test_nobody_approves_what_they_proposed_requested_or_worked_on(lab: Bank) -> None:
    machine = personas.get("ci").actor
    mine = scene.propose(lab, by="omar")
    theirs = scene.propose(lab)
    promotions.request(lab.new, lab.uae, reason="It is better.", by=scene.actor("omar"))
    trained = versions.register_version(
        lab.model, digest=scene.digest_of("by Dana"), trained_by=["Dana"], number=30, by=scene.SET_UP
    )
    edges.record_edge(lab.loans, trained, by=scene.SET_UP)
    worked = scene.propose(lab, version=trained, subjects=[trained.subject])
    now = timezone.now()
    for waiver, by, proof, code in (
        (mine, scene.actor("omar"), now, "waiver.self_approval"),
        (theirs, scene.actor("omar"), now, "waiver.requester"),
        (worked, scene.actor("dana"), now, "waiver.contributor"),
        (theirs, machine, now, "waiver.not_a_person"),
        (theirs, Actor.system("installer"), now, "waiver.not_a_person"),
        (theirs, scene.actor("amir"), now, "access.waiver.approve"),
        (theirs, scene.actor("layla"), now, "access.waiver.approve"),
        (theirs, scene.actor("dana"), None, "waiver.not_reauthenticated"),
        (theirs, scene.actor("dana"), now - timedelta(minutes=6), "waiver.not_reauthenticated"),
        (theirs, scene.actor("dana"), now + timedelta(minutes=6), "waiver.not_reauthenticated"),
    ):
        with pytest.raises(NotPermitted) as refusal:
            waivers.approve(waiver.reference, reauthenticated_at=proof, by=by)
        assert refusal.value.code == code
        entry = log.history(waiver.subject)[0]
        assert (entry.event, entry.facts["rule"]) == ("waiver.refused", code), "the attempt is in the log"
    assert set(Waiver.objects.values_list("state", flat=True)) == {"proposed"}
    assert approve(mine).state == "active", "somebody else may"


def test_a_waiver_is_approved_once_and_not_after_its_end_or_revocation(lab: Bank, later: Later) -> None:
    with pytest.raises(NotKnown):
        waivers.approve("WV-2026-9999", reauthenticated_at=timezone.now(), by=scene.actor("dana"))
    twice, gone, late = (scene.propose(lab, days=days) for days in (30, 30, 3))
    approve(twice)
    waivers.revoke(gone.reference, reason="Not needed.", by=scene.actor("yusuf"))
    later(timedelta(days=4))
    for waiver, code in ((twice, "waiver.state"), (gone, "waiver.state"), (late, "waiver.expired")):
        with pytest.raises(Conflict) as refusal:
            approve(waiver, "omar")
        assert refusal.value.code == code
        assert log.history(waiver.subject)[0].event == "waiver.refused"


def test_a_rule_that_is_no_longer_waivable_is_not_approved(lab: Bank) -> None:
    waiver = scene.propose(lab)
    scene.enforced(version=2, waivable="false")
    with pytest.raises(Refused) as refusal:
        approve(waiver)
    assert refusal.value.code == "waiver.not_waivable"


def test_a_waiver_of_a_rule_that_became_unwaivable_excuses_no_more(lab: Bank) -> None:
    scene.excuse(lab)
    assert asked(lab).outcome == "allow"
    scene.enforced(version=2, waivable="false")
    assert asked(lab).outcome == "deny"


def test_one_person_revokes_with_a_reason_and_the_gate_denies_at_once(lab: Bank) -> None:
    row = scene.excuse(lab)
    with pytest.raises(BadInput):
        waivers.revoke(row.reference, reason=" ", by=scene.actor("yusuf"))
    done = waivers.revoke(row.reference, reason="The control was not kept.", by=scene.actor("yusuf"))
    assert (done.state, done.revoked_by) == ("revoked", scene.actor("yusuf").id)
    entry = log.history(row.subject)[0]
    assert (entry.event, entry.reason) == ("waiver.revoked", "The control was not kept.")
    verdict = asked(lab)
    assert (verdict.outcome, about_runs(verdict)["waived_by"]) == ("deny", "")
    assert "waivers" not in verdict.facts
    with pytest.raises(Conflict):
        waivers.revoke(row.reference, reason="Again.", by=scene.actor("omar"))


def test_what_is_over_cannot_be_revoked(lab: Bank, later: Later) -> None:
    row = scene.excuse(lab, days=1)
    later(timedelta(days=2))
    with pytest.raises(Conflict) as refusal:
        waivers.revoke(row.reference, reason="Late.", by=scene.actor("omar"))
    assert refusal.value.code == "waiver.expired"


@pytest.mark.parametrize(
    "change",
    [
        {"subjects": ["version:credit-scoring/13"]},
        {"rule": "LAB-OTHER"},
        {"ends_at": timezone.now() + timedelta(days=80)},
        {"state": "active"},
        {"state": "revoked"},
        {"state": "lapsed"},
        {"requested_by": "user:somebody"},
    ],
)
def test_the_database_keeps_what_was_proposed(lab: Bank, change: dict[str, Any]) -> None:
    scene.propose(lab)
    with pytest.raises(DatabaseError), transaction.atomic():
        Waiver.objects.update(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"approved_by": "user:x", "requested_by": "user:x"},
        {"subjects": []},
        {"control": ""},
        {"ends_at": datetime.fromisoformat("2001-01-01T00:00:00Z")},
        {"ends_at": datetime.fromisoformat("2099-01-01T00:00:00Z")},
        {"approved_at": datetime.fromisoformat("2098-01-01T00:00:00Z")},
    ],
)
def test_the_database_refuses_a_row_that_no_function_would_write(lab: Bank, change: dict[str, Any]) -> None:
    row = scene.propose(lab)
    row.pk, row.reference = None, "WV-X"
    for name, value in change.items():
        setattr(row, name, value)
    with pytest.raises(DatabaseError), transaction.atomic():
        row.save(force_insert=True)


def test_a_change_past_the_functions_leaves_no_trace_and_is_refused(committed_db: object) -> None:
    bank = scene.build()
    scene.enforced()
    row = scene.propose(bank)
    with pytest.raises(DatabaseError), transaction.atomic():
        Waiver.objects.filter(pk=row.pk).update(state="active", approved_by="user:nobody", approved_at=timezone.now())
    assert asked(bank).outcome == "deny"


def test_the_window_is_ninety_days(lab: Bank) -> None:
    assert timedelta(days=90) == LONGEST
    start = timezone.now() + timedelta(days=1)
    assert scene.propose(lab, starts_at=start, ends_at=start + LONGEST).state == "proposed"
