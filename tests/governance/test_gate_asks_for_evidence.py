"""The gate asks for evidence: what is on record decides, what is stale does not, and signatures see what was there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import log
from audit.models.events import Event
from governance import decisions, evidence, gate, packs, policies, promotions, rechecks, replay
from governance.facts import Case
from governance.models.decision import Action
from governance.models.evidence import Evidence
from registry import datasets, versions
from registry.lineage import edges
from registry.models import Environment, Finding, ModelVersion
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.test_evidence import paper

READY = (
    *("validation_report", "container", "intended_use", "fairness", "privacy_check", "monitoring_plan"),
    "rollback_drill",
)
EUROPE = ("explanation", "human_oversight")


def enforce(bank: Bank) -> None:
    """The bank's own second version of the checklist: the same rules, and they block (journey J18)."""
    text = policies.shipped_packs()["deployment-readiness"].replace("version: 1\n", "version: 2\n")
    scene.in_force(packs.draft(text.replace("severity: warn", "severity: block"), by=scene.actor("omar")))


def record(bank: Bank, *kinds: str, version: ModelVersion | None = None, **change: Any) -> list[Evidence]:
    """Sami records a piece of each kind, for the UAE."""
    place: Environment | None = change.pop("environment", bank.uae)
    return [
        evidence.record(kind, version or bank.new, paper(**change), environment=place, by=scene.actor("sami"))
        for kind in kinds
    ]


def asked(bank: Bank, *, version: ModelVersion | None = None, place: Environment | None = None) -> decisions.Verdict:
    answer = gate.check(version or bank.new, place or bank.uae, dry_run=True, by=scene.actor("ci"))
    return answer.verdict


def denied(findings: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(each["rule"]) for each in findings if each["severity"] == "block" and each["outcome"] == "fail"}


def test_the_checklist_warns_as_shipped_and_denies_when_it_is_enforced(bank: Bank) -> None:
    verdict = asked(bank)
    assert verdict.outcome == "pending", "only signatures are missing"
    warned = {each["rule"] for each in verdict.findings if each["severity"] == "warn" and each["outcome"] == "fail"}
    assert {f"READY-{n:03d}" for n in range(1, 8)} <= warned
    assert "evidence" not in verdict.facts, "facts without evidence are as they were"
    enforce(bank)
    assert asked(bank).outcome == "deny"
    assert denied(asked(bank).findings) == {f"READY-{n:03d}" for n in range(1, 8)}
    record(bank, *READY)
    verdict = asked(bank)
    assert verdict.outcome == "pending"
    told = {each["rule"]: each["message"] for each in verdict.findings}
    assert told["READY-004"].endswith(f"shown by {Evidence.objects.get(type='fairness').reference}.")
    assert asked(bank, place=bank.staging).outcome == "allow", "the checklist is for production"


def test_the_page_links_the_evidence_by_which_a_gate_passed(bank: Bank, client_for: Any) -> None:
    (shown,) = record(bank, "fairness")
    promotion = scene.request(bank)
    page = client_for("omar").get(f"/promotions/{promotion.pk}").content.decode()
    assert f'Shown by evidence: <a href="/evidence/{shown.reference}">{shown.reference}</a>' in page


def test_what_is_stale_or_for_somebody_else_shows_nothing(bank: Bank) -> None:
    enforce(bank)
    record(bank, *READY[1:])
    assert denied(asked(bank).findings) == {"READY-001"}
    record(bank, "validation_report", version=bank.old)
    record(bank, "validation_report", environment=bank.staging)
    evidence.record("validation_report", bank.new, paper(), environment=bank.uae, by=scene.actor("yusuf"))
    assert denied(asked(bank).findings) == {"READY-001"}, "Yusuf trained it"
    (withdrawn,) = record(bank, "validation_report")
    assert denied(asked(bank).findings) == set()
    evidence.withdraw(withdrawn.reference, reason="Wrong sample.", by=scene.actor("omar"))
    verdict = asked(bank)
    (finding,) = (each for each in verdict.findings if each["rule"] == "READY-001")
    assert (finding["outcome"], finding["failed"]) == ("fail", ["evidence"])
    assert {"id": withdrawn.reference, "failed": ["active"]} in finding["closest"]
    assert {each["environment"] for each in verdict.facts["evidence"]} == {"prod-uae"}


def test_evidence_that_was_made_for_other_files_shows_nothing(bank: Bank) -> None:
    """No function writes such a row; a restore of another registry could."""
    enforce(bank)
    record(bank, *READY[1:])
    (row,) = record(bank, "validation_report", environment=None)
    row.pk, row.reference, row.artifact_digest = None, "EV-OTHER", bank.old.digest
    evidence.withdraw(Evidence.objects.first().reference, reason="Replaced.", by=scene.actor("sami"))  # type: ignore[union-attr]
    row.save(force_insert=True)
    log.append(Event.EVIDENCE_RECORDED, row, by=scene.SET_UP)
    assert denied(asked(bank).findings) == {"READY-001"}
    (finding,) = (each for each in asked(bank).findings if each["rule"] == "READY-001")
    assert {"id": "EV-OTHER", "failed": ["for_these_files"]} in finding["closest"]


def test_an_allow_lasts_no_longer_than_the_evidence_that_it_relies_on_and_replays(bank: Bank) -> None:
    enforce(bank)
    soon = timezone.now().replace(microsecond=0) + timedelta(hours=3)
    record(bank, *READY, expires_at=soon)
    scene.approved(bank)
    answer = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    assert (answer.verdict.outcome, answer.verdict.valid_until) == ("allow", soon)
    assert answer.decision is not None
    assert replay.replay(answer.decision, by=scene.SET_UP).same
    evidence.withdraw(Evidence.objects.get(type="fairness").reference, reason="Wrong.", by=scene.actor("omar"))
    assert replay.replay(answer.decision, by=scene.SET_UP).same, "a stored decision holds the facts of then"


def test_signatures_are_for_the_evidence_that_was_there(bank: Bank) -> None:
    (row,) = record(bank, "fairness")
    promotion = scene.approved(bank)
    parts = scene.latest(promotion).subject_parts
    assert [each["id"] for each in parts["evidence"]] == [row.reference]
    evidence.withdraw(row.reference, reason="Wrong.", by=scene.actor("omar"))
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    promotion.refresh_from_db()
    assert (promotion.state, promotion.round) == ("in_review", 2)
    assert "evidence" not in scene.latest(promotion).subject_parts
    record(bank, "dpia", environment=bank.staging)
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    promotion.refresh_from_db()
    assert promotion.round == 2, "evidence for another place is another subject's"


def germans(bank: Bank) -> tuple[ModelVersion, Environment]:
    """A version that learned from people in Germany, and a place in Frankfurt under the law of the Union."""
    loans = datasets.register_dataset(
        "loans-de",
        classification="personal",
        subjects=["DE"],
        regions_held=["azure:germanywestcentral"],
        confirmed=True,
        by=scene.SET_UP,
    )
    made = versions.register_version(
        bank.model, digest=scene.digest_of("credit-scoring/15"), trained_by=["yusuf"], number=15, by=scene.SET_UP
    )
    edges.record_edge(loans, made, by=scene.SET_UP)
    return made, bank.frankfurt


def test_a_high_risk_model_for_people_in_the_union_needs_explanation_and_oversight(bank: Bank) -> None:
    version, frankfurt = germans(bank)
    assert denied(asked(bank, version=version, place=frankfurt).findings) == {
        "AIA-086",
        "GDPR-22-001",
        "GDPR-22-002",
    }
    record(bank, *EUROPE, version=version, environment=frankfurt)
    verdict = asked(bank, version=version, place=frankfurt)
    assert (verdict.outcome, denied(verdict.findings)) == ("pending", set())
    assert asked(bank).outcome == "pending", "people in the Gulf are not concerned"


def test_what_serves_is_decided_again_when_evidence_ends(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    version, frankfurt = germans(bank)
    explained, overseen = record(bank, *EUROPE, version=version, environment=frankfurt)
    scene.serve(bank, version, frankfurt)
    rechecks.recheck()
    assert not Finding.objects.unlawful().exists()
    evidence.withdraw(overseen.reference, reason="Nobody is on call any more.", by=scene.actor("omar"))
    rechecks.recheck()
    assert {each.observed["rule"] for each in Finding.objects.unlawful()} == {"GDPR-22-001"}
    assert explained.expires_at is not None
    end = explained.expires_at
    monkeypatch.setattr(timezone, "now", lambda: end)
    rechecks.recheck()
    assert {each.observed["rule"] for each in Finding.objects.unlawful()} == {"GDPR-22-001", "GDPR-22-002", "AIA-086"}


def test_many_deployments_read_their_evidence_together(bank: Bank) -> None:
    record(bank, "fairness", "container")
    record(bank, "dpia", environment=None)
    record(bank, "load_test", version=bank.old, environment=bank.frankfurt)
    for version, place in ((bank.new, bank.uae), (bank.new, bank.frankfurt), (bank.old, bank.frankfurt)):
        scene.serve(bank, version, place)
    rows = rechecks.serving()
    shared = rechecks.read(rows)
    seen = set()
    for row in rows:
        case = Case(row.version, row.environment, Action.RUN, {}, rechecks.CLOCK.id)
        alone = decisions.evaluate(case, needs_signoffs=False)
        with rechecks.sharing.using(shared), CaptureQueriesContext(connection) as queries:
            together = decisions.evaluate(case, needs_signoffs=False)
        assert {**together.facts, "now": ""} == {**alone.facts, "now": ""}
        assert not [each for each in queries.captured_queries if "governance_evidence" in each["sql"]]
        seen.add(tuple(each["type"] for each in alone.facts["evidence"]))
    assert {len(each) for each in seen} == {1, 3}
