"""Asking the gate from a pipeline: verdicts, permits, deploys, rollbacks, recorded in committed transactions."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refusal, Refused
from governance import gate, keys, permits, promotions, rollouts, signoffs, transfers
from governance.models.decision import Decision
from governance.models.permit import Permit
from governance.models.promotion import Promotion
from governance.models.transfer import TransferSafeguard
from registry import datasets, deployments, environments
from registry.lineage import edges
from registry.models import Deployment
from tests.governance import scene
from tests.governance.scene import Bank

#: A full check that allows: everything between the resolved version and the answer, savepoint included.
#: The last but one asks which key signs the permit.
GATE_QUERIES = 16


@pytest.fixture
def real(committed_db: object) -> Bank:
    """The bank with real commits, so that the completeness trigger sees every transaction."""
    return scene.build()


def _check(bank: Bank, **more: object) -> gate.Answer:
    return gate.check(bank.new, bank.uae, by=scene.actor("ci"), **more)  # type: ignore[arg-type]


def _deploy(answer: gate.Answer, *, environment: str = "prod-uae", secret: str | None = None) -> Deployment:
    assert answer.decision is not None
    return rollouts.record_deploy(
        answer.decision.public_id,
        secret=answer.secret if secret is None else secret,
        environment=environment,
        by=scene.actor("ci"),
    )


def test_the_whole_way_from_request_to_rollback_commits_with_an_entry_for_every_row(real: Bank) -> None:
    _first = scene.approved(real, version=real.old)
    old = gate.check(real.old, real.uae, by=scene.actor("ci"))
    _deploy(old)
    promotion = scene.approved(real)
    answer = _check(real)
    deployment = _deploy(answer)
    promotion.refresh_from_db()
    assert (promotion.state, deployment.version_id) == ("deployed", real.new.pk)
    assert answer.decision is not None
    assert deployment.decision_id == answer.decision.public_id
    told = [row.event for row in reversed(log.history(promotion.subject, limit=100))]
    order = [
        "promotion.requested",
        "signoff.given",
        "promotion.approved",
        "permit.issued",
        "permit.consumed",
        "promotion.deployed",
    ]
    assert [event for event in told if event in order and event != "signoff.given"] == [
        e for e in order if e != "signoff.given"
    ]
    back = rollouts.record_rollback(
        real.old, real.uae, reason="Approvals doubled.", incident="INC-7", by=scene.actor("layla")
    )
    assert back.decision.action == "rollback"
    assert back.decision.outcome == "allow"
    serves = deployments.serving(real.uae, real.model)
    assert [each.version.pk for each in serves] == [real.old.pk]


def test_a_denial_is_recorded_before_it_is_answered_and_opens_no_promotion(bank: Bank) -> None:
    answer = gate.check(bank.new, bank.frankfurt, ci={"sha": "abc"}, by=scene.actor("ci"))
    assert answer.verdict.outcome == "deny"
    assert answer.permit is None
    assert answer.secret == ""
    stored = Decision.objects.get()
    assert answer.decision == stored
    assert (stored.outcome, stored.ci, stored.requested_by) == ("deny", {"sha": "abc"}, scene.actor("ci").id)
    assert log.history(stored.subject)[0].facts["outcome"] == "deny"
    assert not Promotion.objects.exists()


def test_without_a_promotion_the_gate_is_pending_when_only_signatures_are_missing(bank: Bank) -> None:
    answer = _check(bank)
    assert answer.verdict.outcome == "pending"
    assert {each["role"] for each in answer.verdict.signoff["missing"]} == {"ml_lead", "compliance_officer"}
    assert answer.permit is None


def test_where_no_signature_is_required_the_gate_allows_with_a_permit(bank: Bank) -> None:
    answer = gate.check(bank.new, bank.staging, by=scene.actor("ci"))
    assert answer.verdict.outcome == "allow"
    assert any(each["outcome"] == "pass" and each["severity"] == "block" for each in answer.verdict.findings)
    assert _deploy(answer, environment="staging").environment_id == bank.staging.pk


def test_a_dry_run_says_the_verdict_and_records_nothing(bank: Bank) -> None:
    promotion = scene.request(bank)
    before = (Decision.objects.count(), Permit.objects.count(), len(log.history(promotion.subject)))
    dry = _check(bank, dry_run=True)
    denied = gate.check(bank.new, bank.frankfurt, dry_run=True, by=scene.actor("ci"))
    assert (dry.verdict.outcome, denied.verdict.outcome) == ("pending", "deny")
    assert denied.verdict.findings
    assert dry.decision is None
    assert dry.permit is None
    assert (Decision.objects.count(), Permit.objects.count(), len(log.history(promotion.subject))) == before


def test_a_permit_deploys_once_and_the_second_use_is_in_the_log(bank: Bank) -> None:
    promotion = scene.approved(bank)
    answer = _check(bank)
    _deploy(answer)
    with pytest.raises(Conflict) as refusal:
        _deploy(answer)
    assert refusal.value.code == "permit.used"
    assert Deployment.objects.count() == 1
    newest = log.history(promotion.subject)[0]
    assert (newest.event, newest.facts["rule"]) == ("permit.refused", "permit.used")


@pytest.mark.parametrize(("rollout", "named"), [({"strategy": "canary", "weight": 5}, 100), ({}, 5)])
def test_a_permit_records_the_share_that_was_decided_and_no_other(
    bank: Bank, rollout: dict[str, object], named: int
) -> None:
    deployments.record_deploy(bank.staging, bank.old, by=scene.SET_UP)
    answer = gate.check(bank.new, bank.staging, rollout=rollout, by=scene.actor("ci"))
    assert answer.decision is not None
    with pytest.raises(Conflict) as refusal:
        rollouts.record_deploy(
            answer.decision.public_id,
            secret=answer.secret,
            environment="staging",
            weight=named,
            by=scene.actor("ci"),
        )
    assert refusal.value.code == "permit.weight"
    assert _deploy(answer, environment="staging").weight == rollout.get("weight", 100)


def test_a_deploy_brings_the_record_of_its_strategy_or_keeps_its_permit(bank: Bank) -> None:
    answer = gate.check(bank.new, bank.staging, by=scene.actor("ci"))
    assert answer.decision is not None
    deploying = {"secret": answer.secret, "environment": "staging", "by": scene.actor("ci")}
    with pytest.raises(BadInput, match="lacks: config_digest"):
        rollouts.record_deploy(answer.decision.public_id, record={"endpoint": "e"}, **deploying)  # type: ignore[arg-type]
    whole = {"endpoint": "e", "config_digest": scene.digest_of("values.yaml")}
    deployment = rollouts.record_deploy(answer.decision.public_id, record=whole, **deploying)  # type: ignore[arg-type]
    assert [row.record for row in deployment.records.all()] == [whole]


def test_a_second_permit_of_a_deployed_promotion_is_void(bank: Bank) -> None:
    scene.approved(bank)
    first, second = _check(bank), _check(bank)
    _deploy(first)
    with pytest.raises(Conflict) as refusal:
        _deploy(second)
    assert refusal.value.code == "permit.promotion_closed"


def test_a_permit_is_refused_for_another_environment_decision_or_secret(bank: Bank) -> None:
    scene.approved(bank)
    answer, other = _check(bank), gate.check(bank.new, bank.staging, by=scene.actor("ci"))
    with pytest.raises(NotPermitted) as wrong_place:
        _deploy(answer, environment="staging")
    with pytest.raises(NotPermitted) as wrong_decision:
        _deploy(answer, secret=other.secret)
    with pytest.raises(NotPermitted) as forged:
        _deploy(answer, secret=permits.PREFIX + "A" * 43)
    codes = [each.value.code for each in (wrong_place, wrong_decision, forged)]
    assert codes == ["permit.environment", "permit.unknown", "permit.unknown"]
    assert not Deployment.objects.exists()
    with pytest.raises(NotKnown):
        rollouts.record_deploy("dec_NOPE", secret=answer.secret, environment="prod-uae", by=scene.actor("ci"))


def test_an_expired_permit_is_refused(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.approved(bank)
    monkeypatch.setattr(permits, "LIFETIME", timedelta())
    with pytest.raises(Refused) as refusal:
        _deploy(_check(bank))
    assert refusal.value.code == "permit.expired"


def test_a_permit_dies_when_what_was_permitted_changes(bank: Bank) -> None:
    scene.approved(bank)
    answer = _check(bank)
    environments.change_environment(bank.uae, log_sinks=["aws:me-central-1"], by=scene.SET_UP)
    with pytest.raises(Conflict) as refusal:
        _deploy(answer)
    assert refusal.value.code == "permit.stale_subject"
    assert not Deployment.objects.exists()


def test_a_permit_dies_when_the_rules_deny_by_now(bank: Bank) -> None:
    scene.approved(bank)
    answer = _check(bank)
    datasets.state_dataset(
        bank.loans, {"classification": "unknown"}, may_confirm=lambda: None, reason="Assessed again.", by=scene.SET_UP
    )
    with pytest.raises((Conflict, Refused)):
        _deploy(answer)
    assert not Deployment.objects.exists()
    assert _check(bank).verdict.outcome == "deny"


def test_a_rejection_stands_when_the_pipeline_asks_again(bank: Bank) -> None:
    promotion = scene.request(bank)
    scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    answer = _check(bank)
    assert answer.verdict.outcome == "deny"
    assert answer.permit is None


def test_asking_for_a_rollback_never_approves_a_promotion(bank: Bank) -> None:
    deployments.record_deploy(bank.uae, bank.new, by=scene.SET_UP)
    deployments.record_deploy(bank.uae, bank.old, by=scene.SET_UP)
    promotion = scene.request(bank)
    answer = _check(bank, action="rollback")
    assert answer.verdict.outcome == "allow"
    assert answer.permit is None
    promotion.refresh_from_db()
    assert promotion.state == "in_review"


def test_a_rollback_to_a_version_that_never_served_is_refused(bank: Bank) -> None:
    with pytest.raises(Conflict) as asked:
        _check(bank, action="rollback")
    with pytest.raises(Conflict) as recorded:
        rollouts.record_rollback(bank.new, bank.uae, reason="x", incident="y", by=scene.actor("layla"))
    assert asked.value.code == recorded.value.code == "rollback.never_served"


def test_a_rollback_that_todays_rules_deny_is_refused_and_its_decision_stays(bank: Bank) -> None:
    deployments.record_deploy(bank.frankfurt, bank.old, by=scene.SET_UP)
    deployments.record_deploy(bank.frankfurt, bank.new, by=scene.SET_UP)
    with pytest.raises(Refused) as refusal:
        rollouts.record_rollback(bank.old, bank.frankfurt, reason="x", incident="INC-1", by=scene.actor("layla"))
    assert refusal.value.reasons
    assert Decision.objects.get(action="rollback").outcome == "deny"
    assert deployments.serving(bank.frankfurt, bank.model)[0].version.pk == bank.new.pk


def test_a_target_or_strategy_that_disagrees_with_the_record_is_a_conflict(bank: Bank) -> None:
    promotions.request(
        bank.new, bank.uae, plan={"strategy": "canary", "weight": 10}, reason="x", by=scene.actor("yusuf")
    )
    with pytest.raises(Conflict) as target:
        _check(bank, target={"provider_region": ["gcp:me-central2"]})
    with pytest.raises(Conflict) as strategy:
        _check(bank, rollout={"strategy": "all_at_once"})
    with pytest.raises(Conflict) as share:
        _check(bank, rollout={"strategy": "canary", "weight": 50})
    assert (target.value.code, strategy.value.code) == ("target.differs", "rollout.differs")
    assert share.value.code == "rollout.differs"
    assert _check(bank, target={"provider_region": ["azure:uaenorth"]}).verdict.outcome == "pending"


def test_a_safeguard_that_a_second_person_approved_opens_the_lawful_path(bank: Bank) -> None:
    assert gate.check(bank.new, bank.frankfurt, by=scene.actor("ci")).verdict.outcome == "deny"
    transfers.record(
        "TS-1",
        type="SCC",
        law="AE-federal",
        document="SCC 2026-04 with Bank Frankfurt",
        subjects=["environment:dr-frankfurt"],
        regions=["azure:germanywestcentral"],
        expires_at=timezone.now() + timedelta(days=30),
        risk_assessment_at=timezone.now(),
        assessment=scene.ASSESSMENT,
        by=scene.actor("dana"),
    )
    denied = gate.check(bank.new, bank.frankfurt, by=scene.actor("ci"))
    assert denied.verdict.outcome == "deny"
    assert any({"id": "TS-1", "failed": ["active"]} in each["closest"] for each in denied.verdict.findings)
    with pytest.raises(NotPermitted) as refusal:
        transfers.approve("TS-1", by=scene.actor("dana"))
    assert refusal.value.code == "safeguard.self_approval"
    transfers.approve("TS-1", by=scene.actor("omar"))
    assert gate.check(bank.new, bank.frankfurt, by=scene.actor("ci")).verdict.outcome == "pending"


def test_the_database_itself_refuses_one_person_for_both_ends_of_a_safeguard(bank: Bank) -> None:
    scene.cover("TS-2")
    with pytest.raises(DatabaseError), transaction.atomic():
        TransferSafeguard.objects.update(approved_by=scene.actor("dana").id)


def test_decisions_and_signatures_cannot_be_rewritten(bank: Bank) -> None:
    promotion = scene.approved(bank)
    for change in (
        lambda: Decision.objects.update(outcome="allow"),
        lambda: promotion.signoffs.update(signer=scene.actor("jonas").id),
        lambda: Permit.objects.update(secret_digest="sha256:" + "0" * 64),
    ):
        _check(bank)
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


def test_a_state_written_past_the_log_does_not_commit(real: Bank) -> None:
    promotion = scene.request(real)
    with pytest.raises(DatabaseError):
        Promotion.objects.filter(pk=promotion.pk).update(state="approved")
    promotion.refresh_from_db()
    assert promotion.state == "in_review"


def test_a_gate_check_takes_a_fixed_number_of_queries_whatever_the_lineage(bank: Bank) -> None:
    for number in range(8):
        more = datasets.register_dataset(
            f"more-{number}", classification="none", subjects=[], regions_held=["azure:uaenorth"], by=scene.SET_UP
        )
        edges.record_edge(more, bank.new, by=scene.SET_UP)
    scene.approved(bank)
    ci = scene.actor("ci")
    keys.signer()  # its first use announces it
    with CaptureQueriesContext(connection) as queries:
        assert gate.check(bank.new, bank.uae, by=ci).permit is not None
    assert len(queries) == GATE_QUERIES, [each["sql"][:100] for each in queries.captured_queries]


def test_an_approved_promotion_past_its_deadline_expires_and_gives_no_permit(bank: Bank) -> None:
    promotion = scene.approved(bank)
    with transaction.atomic():
        changes = {"expires_at": timezone.now()}
        promotions.PROMOTIONS.transition(promotion, "approved", changes=changes, by=scene.SET_UP)
    answer = _check(bank)
    assert (answer.verdict.outcome, answer.permit) == ("pending", None)
    promotion.refresh_from_db()
    assert promotion.state == "expired"


def test_two_pipelines_with_one_permit_record_one_deploy(real: Bank) -> None:
    scene.approved(real)
    answer = _check(real)
    machine = scene.actor("ci")
    assert answer.decision is not None
    number, start = answer.decision.public_id, threading.Barrier(2)

    def attempt(_one: int) -> str:
        start.wait()
        try:
            rollouts.record_deploy(number, secret=answer.secret, environment="prod-uae", by=machine)
        except Refusal as refusal:
            return refusal.code
        finally:
            connections["default"].close()
        return "deployed"

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(attempt, range(2)))
    assert said[0] == "deployed"
    assert said[1] in ("permit.used", "permit.promotion_closed")
    assert Deployment.objects.count() == 1
    assert [row.event for row in log.history(answer.decision.subject)].count("permit.refused") == 1


def test_two_people_who_sign_at_the_same_moment_both_count(real: Bank) -> None:
    promotion = scene.request(real)
    signers = {"layla": "ml_lead", "omar": "compliance_officer"}
    shown, start = promotion.subject_digest, threading.Barrier(2)
    actors = {name: scene.actor(name) for name in signers}

    def attempt(name: str) -> None:
        start.wait()
        try:
            signoffs.sign(
                promotion.pk,
                meaning="approve",
                comment="Checked.",
                role=signers[name],
                subject_digest_seen=shown,
                reauthenticated_at=timezone.now(),
                by=actors[name],
            )
        finally:
            connections["default"].close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(attempt, signers))
    promotion.refresh_from_db()
    assert promotion.state == "approved"
