"""The demo story, act by act, through the same functions that the pages and the API call.

Every date is real: the expired safeguard was valid for a few seconds and then expired.
"""

from __future__ import annotations

import time
from datetime import timedelta

from django.utils import timezone

from config.story.applications import COLUMNS, applications
from config.story.people import actor
from explain import jobs
from explain.models import ExplanationJob
from governance import emergency_review, gate, promotions, rollouts, signoffs, transfers
from governance.models.emergency import Emergency
from governance.models.promotion import Promotion
from registry import environments, versions
from registry.models import Environment, ModelVersion

MODEL = "credit-scoring"
SAUDI_DATA = "dataset:applications-sa-2026q3"
#: slug -> name, tier, regions, perimeter, backups, countries of support, explanation workers.
ENVIRONMENTS = {
    "staging": ("Staging", "staging", ["azure:uaenorth"], "AE-federal", [], ["AE"], ["azure:uaenorth"]),
    "prod-uae": (
        "Production, UAE",
        "prod",
        ["azure:uaenorth"],
        "AE-federal",
        ["azure:uaenorth"],
        ["AE"],
        ["azure:uaenorth"],
    ),
    "prod-ksa": (
        "Production, Saudi Arabia",
        "prod",
        ["gcp:me-central2"],
        "SA",
        ["gcp:me-central2"],
        ["SA"],
        ["gcp:me-central2"],
    ),
    "dr-frankfurt": ("Disaster recovery, Frankfurt", "dr", ["aws:eu-central-1"], "EU", [], ["DE"], []),
}
ROWS_TO_EXPLAIN = 12
BACKGROUND_ROWS = 60


def version(number: int) -> ModelVersion:
    """One of the story's versions, by the order in which it was trained."""
    return versions.resolve(MODEL, number)


def register_environments() -> None:
    """Four places, two of them under laws of their own."""
    for slug, (name, tier, regions, perimeter, backups, support, workers) in ENVIRONMENTS.items():
        environments.register_environment(
            slug,
            name=name,
            tier=tier,
            regions_served=regions,
            perimeter=perimeter,
            log_sinks=regions,
            backups=backups,
            support_access=support,
            explanation_workers=workers,
            by=actor("amir"),
        )


def describe_model() -> None:
    """What MLflow cannot know: who answers for the model and how much harm it can do."""
    versions.change_model(
        versions.find_model(MODEL),
        title="Credit scoring",
        owner="Retail lending",
        purpose="Estimates the probability that an applicant defaults within a year.",
        risk="high",
        risk_reason="Creditworthiness of natural persons: EU AI Act, Annex III 5(b).",
        by=actor("layla"),
    )


def register_endpoints(addresses: dict[str, str]) -> None:
    """The two model servers that the stack runs."""
    contract = {"kind": "probability", "of_class": "1"}
    for name, number, slug in (("credit-scoring-uae", 2, "prod-uae"), ("credit-scoring-staging", 3, "staging")):
        environments.register_endpoint(
            name,
            environment=Environment.objects.get(slug=slug),
            version=version(number),
            url=addresses[name],
            output=contract,
            by=actor("sami"),
        )


#: What the data-protection officer of the story wrote down, by the six elements.
ASSESSMENT = {
    "A": "Credit scores for customers who asked for a loan; contract with the customer.",
    "B": "Application data and scores, computed and logged in the named region.",
    "C": "Standard clauses, encryption with keys that stay at home, audit rights.",
    "D": "Only the columns that the model reads; no names, no identity numbers.",
    "E": "Refusal of a loan after a leak of financial data; unlikely.",
    "F": "Access by two people, alerts on export, deletion after ninety days.",
}


def record_safeguards() -> None:
    """Two transfer safeguards that hold, and one that expires a few seconds later."""
    now = timezone.now()
    uae = ["environment:prod-uae", "environment:staging"]
    for reference, law, covered, region, country, lifetime in (
        ("SCC-2026-014", "SA", uae, "azure:uaenorth", "AE", timedelta(days=365)),
        ("SCC-2026-021", "AE-federal", ["environment:prod-ksa"], "gcp:me-central2", "SA", timedelta(days=200)),
        ("SCC-2025-003", "SA", ["environment:dr-frankfurt"], "aws:eu-central-1", "DE", timedelta(seconds=3)),
    ):
        transfers.record(
            reference,
            type="SCC",
            law=law,
            document=f"Standard contractual clauses, contract {reference}",
            subjects=[SAUDI_DATA, *covered],
            regions=[region, f"country:{country}"],
            expires_at=now + lifetime,
            exporter="Bank of the story, Riyadh",
            importer=f"Cloud provider of {region}",
            risk_assessment_at=now,
            assessment=ASSESSMENT,
            by=actor("dana"),
        )
        transfers.approve(reference, reason="Read the assessment under TR Art. 7.", by=actor("omar"))


def request(number: int, slug: str, reason: str) -> Promotion:
    """Yusuf asks for a promotion."""
    return promotions.request(version(number), Environment.objects.get(slug=slug), reason=reason, by=actor("yusuf"))


def sign(promotion: Promotion, username: str, role: str, comment: str) -> None:
    """A signature over exactly the subject that stands now, freshly re-authenticated."""
    promotion.refresh_from_db()
    signoffs.sign(
        promotion.pk,
        meaning="approve",
        comment=comment,
        role=role,
        subject_digest_seen=promotion.subject_digest,
        reauthenticated_at=timezone.now(),
        by=actor(username),
    )


def deploy(number: int, slug: str) -> None:
    """CI asks the gate, gets a permit and records the deployment with it."""
    machine = actor("ci")
    environment = Environment.objects.get(slug=slug)
    answer = gate.check(version(number), environment, action="deploy", by=machine)
    if answer.decision is None or not answer.secret:
        raise RuntimeError(f"The gate did not allow {MODEL} {number} in {slug}: {answer.verdict.summary}")
    rollouts.record_deploy(answer.decision.public_id, secret=answer.secret, environment=slug, by=machine)


def promote(number: int, slug: str, reason: str) -> None:
    """Request, two signatures, deployment."""
    promotion = request(number, slug, reason)
    sign(promotion, "layla", "ml_lead", "Calibration and ranking hold on the hold-out of both markets.")
    sign(promotion, "omar", "compliance_officer", "Data sets, purpose and transfers checked against the register.")
    deploy(number, slug)


def explain() -> list[ExplanationJob]:
    """SHAP and LIME on the same rows of the version that serves in the UAE."""
    from registry.models import Endpoint

    sample = applications(ROWS_TO_EXPLAIN, seed=501, market="AE")[COLUMNS].to_dict("records")
    rows = {f"applicant-{number:03d}": row for number, row in enumerate(sample, start=1)}
    background = applications(BACKGROUND_ROWS, seed=502, market="AE")[COLUMNS].to_dict("records")
    endpoint = Endpoint.objects.get(name="credit-scoring-uae")
    asked = {
        "rows": rows,
        "background": background,
        "seed": 7,
        "level": "standard",
        "scale": "probability",
        "subjects": {name: f"customer:{name}" for name in rows},
    }
    return [jobs.request(version(2), endpoint, method=name, **asked, by=actor("yusuf")) for name in ("shap", "lime")]


def play_promotions() -> None:
    """Everything that was asked, signed, deployed, rolled back and refused."""
    deploy(3, "staging")
    promote(1, "prod-uae", "First version for the UAE.")
    promote(2, "prod-uae", "Random forest: better ranking at the same calibration.")
    promote(1, "prod-ksa", "First version for Saudi Arabia.")
    promote(3, "prod-ksa", "Trained on Saudi applications as well.")
    rollouts.record_rollback(
        version(1),
        Environment.objects.get(slug="prod-ksa"),
        reason="Approval rate in Riyadh fell by a third within an hour.",
        incident="INC-2041",
        by=actor("sami"),
    )
    emergency_review.review(
        Emergency.objects.get().reference,
        ratified=True,
        reason="The rollback was right: the approval rate recovered within the hour.",
        reauthenticated_at=timezone.now(),
        by=actor("omar"),
    )
    waiting = request(3, "prod-uae", "One version for both markets.")
    sign(waiting, "layla", "ml_lead", "Ranking on both hold-outs is better than version 2.")
    time.sleep(3)  # the safeguard for Frankfurt expires
    request(3, "dr-frankfurt", "Disaster recovery for the Saudi market.")
