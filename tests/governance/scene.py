"""A small bank: one model about people in the UAE, made with the functions that people use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from audit.actors import Actor
from governance import (
    backtests,
    decisions,
    delegations,
    packs,
    promotions,
    queries,
    retracting,
    signoffs,
    transfers,
    waivers,
)
from governance.models.decision import Decision
from governance.models.delegation import Delegation
from governance.models.policy import PolicyPack
from governance.models.promotion import Promotion
from governance.models.signoff import Retraction, SignOff
from governance.models.waiver import Waiver
from governance.sessions import Proof
from registry import datasets, deployments, environments, versions
from registry.lineage import edges
from registry.models import Dataset, Deployment, Environment, Model, ModelVersion
from tests import personas

SET_UP = Actor.system("tests")
#: The six elements of a transfer risk assessment.
ASSESSMENT = {letter: f"Element {letter} was looked at." for letter in "ABCDEF"}


def digest_of(text: str) -> str:
    """A digest that looks like an artifact's."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Bank:
    """``old`` serves nowhere yet; ``new`` is the candidate. Both learned from ``loans``, people in the UAE."""

    model: Model
    old: ModelVersion
    new: ModelVersion
    loans: Dataset
    uae: Environment
    frankfurt: Environment
    staging: Environment


def build() -> Bank:
    """The bank with the shipped packs in force."""
    packs.load_shipped()
    for name in personas.PERSONAS:
        personas.get(name)
    model = versions.register_model(
        "credit-scoring",
        title="Credit scoring",
        owner="risk",
        purpose="Decides on consumer loans.",
        risk="high",
        risk_reason="EU AI Act Annex III 5(b)",
        by=SET_UP,
    )
    loans = datasets.register_dataset(
        "loans-2026q3",
        classification="personal",
        subjects=["AE"],
        regions_held=["azure:uaenorth"],
        confirmed=True,
        by=SET_UP,
    )
    made = []
    for number, auc in ((13, "0.866"), (14, "0.871")):
        version = versions.register_version(
            model,
            digest=digest_of(f"credit-scoring/{number}"),
            trained_by=["yusuf"],
            number=number,
            metrics={"auc": auc},
            by=SET_UP,
        )
        edges.record_edge(loans, version, by=SET_UP)
        made.append(version)
    return Bank(
        model=model,
        old=made[0],
        new=made[1],
        loans=loans,
        uae=environment("prod-uae", "prod", "azure:uaenorth", "AE-federal"),
        frankfurt=environment("dr-frankfurt", "dr", "azure:germanywestcentral", "EU"),
        staging=environment("staging", "staging", "azure:uaenorth", "AE-federal"),
    )


def environment(slug: str, tier: str, region: str, perimeter: str) -> Environment:
    """An environment that serves and logs in one region."""
    return environments.register_environment(
        slug,
        name=slug,
        tier=tier,
        regions_served=[region],
        perimeter=perimeter,
        log_sinks=[region],
        backups=[],
        support_access=[],
        explanation_workers=[],
        by=SET_UP,
    )


def in_force(pack: PolicyPack, *, by: str = "dana", reason: str = "Clearer.") -> PolicyPack:
    """The pack after its back-test and its activation by a second person."""
    backtests.perform(backtests.request(pack.slug, pack.version, by=actor("omar")).pk)
    return packs.activate(pack.slug, pack.version, reason=reason, by=actor(by))


def actor(name: str) -> Actor:
    """The persona as an actor."""
    return personas.get(name).actor


def request(
    bank: Bank, *, version: ModelVersion | None = None, place: Environment | None = None, by: str = "yusuf"
) -> Promotion:
    """A promotion of the candidate to production, requested by the data scientist."""
    return promotions.request(version or bank.new, place or bank.uae, reason="Better on the Q3 hold-out.", by=actor(by))


def sign(
    promotion: Promotion,
    name: str,
    role: str,
    *,
    meaning: str = "approve",
    seen: str | None = None,
    lent: str = "",
    proof: Proof | None = None,
) -> SignOff:
    """That persona signs what they were shown, with their password just entered."""
    shown = latest(promotion).subject_digest if seen is None else seen
    return signoffs.sign(
        promotion.pk,
        meaning=meaning,
        comment="Checked the calibration curve.",
        role=role,
        subject_digest_seen=shown,
        reauthenticated_at=timezone.now(),
        delegation=lent,
        proof=proof,
        by=actor(name),
    )


def approved(bank: Bank, **more: object) -> Promotion:
    """A promotion that both required people signed."""
    promotion = request(bank, **more)  # type: ignore[arg-type]
    sign(promotion, "layla", "ml_lead")
    sign(promotion, "omar", "compliance_officer")
    promotion.refresh_from_db()
    return promotion


def latest(promotion: Promotion) -> Decision:
    """Its newest decision."""
    found = queries.deciding_decision(promotion)
    assert found is not None
    return found


def decide(promotion: Promotion) -> decisions.Verdict:
    """What the gate would say now, without recording it."""
    promotion.refresh_from_db()
    return decisions.evaluate(decisions.case_of(promotion))


def cover(
    reference: str = "TS-1",
    *,
    days: int = 30,
    subjects: tuple[str, ...] = ("environment:dr-frankfurt",),
    law: str = "AE-federal",
    approved: bool = True,
) -> None:
    """A safeguard that two people put in force for Frankfurt; or one that still waits for the second."""
    transfers.record(
        reference,
        type="SCC",
        law=law,
        document="SCC with Bank Frankfurt",
        subjects=list(subjects),
        regions=["azure:germanywestcentral"],
        expires_at=timezone.now() + timedelta(days=days),
        risk_assessment_at=timezone.now(),
        assessment=ASSESSMENT,
        by=actor("dana"),
    )
    if approved:
        transfers.approve(reference, reason="Read it.", by=actor("omar"))


#: A rule that the bank's versions fail, because no run of theirs is on record, and that two people may waive.
RUN_ON_RECORD = """\
pack: {pack}
version: {version}
title: Candidates come from a run on record
status: draft
effective_from: 2026-01-01
applies:
  environments: [{environment}]
rules:
  - id: LAB-RUN-001
    title: The version comes from a run on record
    cites: ["Model handbook 4.2"]
    severity: {severity}
    waivable: {waivable}
    require:
      from_a_run: "version.run_id != ''"
    message: "{{subject}} does not come from a run on record"
    remedy: Register the run that trained it
    who: [data_scientist]
"""


def run_on_record(**change: object) -> str:
    """The text of that pack."""
    given = {"pack": "lab-runs", "version": 1, "environment": "staging", "severity": "block", "waivable": "true"}
    return RUN_ON_RECORD.format(**{**given, **change})


def enforced(**change: object) -> PolicyPack:
    """That pack in force, by two people."""
    return in_force(packs.draft(run_on_record(**change), by=actor("omar")))


def propose(bank: Bank, *, by: str = "yusuf", days: int = 30, **change: Any) -> Waiver:
    """Somebody asks that the rule be excused for the candidate in staging."""
    given: dict[str, Any] = {
        "version": bank.new,
        "environment": bank.staging,
        "pack": "lab-runs",
        "rule": "LAB-RUN-001",
        "subjects": [bank.new.subject],
        "reason": "The run was on a laptop that is gone.",
        "control": "It is trained again on the cluster by Friday.",
        "ends_at": timezone.now() + timedelta(days=days),
        **change,
    }
    return waivers.propose(**given, by=actor(by))


def excuse(bank: Bank, *, approver: str = "dana", **change: Any) -> Waiver:
    """The same, approved by a second person."""
    proposed = propose(bank, **change)
    return waivers.approve(proposed.reference, reason="Read it.", reauthenticated_at=timezone.now(), by=actor(approver))


def serve(bank: Bank, version: ModelVersion | None = None, place: Environment | None = None) -> Deployment:
    """It serves, however it came there."""
    return deployments.record_deploy(place or bank.frankfurt, version or bank.new, by=SET_UP)


#: Who signs for staging in the tests of order and delegation.
SIGNED_IN_STAGING = """\
pack: lab-signoff
version: 1
title: Two people for staging
status: draft
effective_from: 2026-01-01
applies:
  environments: [staging]
signoff:
  - id: LAB-SIGN-001
    title: An ML lead and a compliance officer
    applies_when: "true"
    require: [{{role: ml_lead, n: 1}}, {{role: compliance_officer, n: 1}}]
    distinct_people: true
    exclude: [requester, contributors]
    reauth: {{max_age_s: 300}}
    valid_for: P14D
    {more}
"""


def signed_in_staging(more: str = "delegation: {allowed: true, max: P30D, depth: 1}") -> PolicyPack:
    """That pack in force, by two people; ``more`` is a line of its rule."""
    return in_force(packs.draft(SIGNED_IN_STAGING.format(more=more), by=actor("omar")))


def take_back(promotion: Promotion, name: str, row: SignOff, *, reopen: bool = False) -> Retraction:
    """That persona takes a signature back, with their password just entered."""
    act = retracting.reopen if reopen else retracting.revoke
    given = {"reason": "The curve was of the old run.", "reauthenticated_at": timezone.now()}
    return act(promotion.pk, row.pk, by=actor(name), **given)  # type: ignore[arg-type]


def lend(name: str, role: str, to: str, *, days: int = 10, **change: Any) -> Delegation:
    """That persona lets another sign in their place from now on."""
    given = {"ends_at": timezone.now() + timedelta(days=days), "reason": "On leave.", **change}
    given.setdefault("reauthenticated_at", timezone.now())
    return delegations.make(role, to, by=actor(name), **given)
