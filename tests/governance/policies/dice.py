"""Random facts about everything that a shipped rule reads, from a seeded die: the same in every run.

A ``Throw`` keeps what went in beside what was frozen, so that a reference can read the input and not the engine's form.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from governance.policies import (
    EnvironmentFact,
    EvidenceFact,
    ExplanationFact,
    Facts,
    FlowFact,
    ModelFact,
    PromotionFact,
    SafeguardFact,
    VersionFact,
    freeze,
)
from tests.governance.policies.cases import DIGEST, NOW, VERSION, evidence, explanation, flow, safeguard

COUNTRY = {
    "gcp:me-central2": "SA",
    "oci:me-jeddah-1": "SA",
    "oci:me-riyadh-1": "SA",
    "onprem:ksa-riyadh": "SA",
    "onprem:ksa-": "SA",
    "alibaba:me-central-1": "SA",
    "aws:me-central-1": "AE",
    "azure:uaenorth": "AE",
    "oci:me-dubai-1": "AE",
    "oci:me-abudhabi-1": "AE",
    "alibaba:me-east-1": "AE",
    "onprem:uae-1": "AE",
    "onprem:adgm-1": "AE",
    "onprem:difc-1": "AE",
    "onprem:qfc-1": "QA",
    "gcp:me-central1": "QA",
    "aws:eu-central-1": "DE",
    "aws:eu-west-2": "GB",
    "gcp:europe-west2": "GB",
    "country:SA": "SA",
    "country:AE": "AE",
    "country:AE-ADGM": "AE",
    "country:AE-DIFC": "AE",
    "country:QA-QFC": "QA",
    "country:DE": "DE",
    "country:IN": "IN",
    "": "",
}
KINDS = ("dataset", "serving", "inference_log", "backup", "support_access", "explanation_job")
PEOPLE = (["SA"], ["SA", "AE"], ["AE"], ["AE-federal"], [], ["DE", "AE"], ["QA"], ["EU"], ["AE-ADGM"], ["AE-DIFC"])
LAWS_OF_FLOWS = ("SA", "AE-federal", "EU", "AE-ADGM", "AE-DIFC", "QA-QFC", "BH", "")
#: What the shipped packs ask for.
EVIDENCE = (
    *("validation_report", "container", "intended_use", "fairness", "privacy_check", "monitoring_plan"),
    *("rollback_drill", "explanation", "human_oversight", "logging", "dpia"),
)
CLASSES = ("none", "personal", "personal", "sensitive", "special", "unknown", "")


@dataclass(frozen=True)
class Throw:
    """One random case: the input of ``freeze``, and its result."""

    model: ModelFact
    version: VersionFact
    environment: EnvironmentFact
    promotion: PromotionFact
    flows: tuple[FlowFact, ...]
    safeguards: tuple[SafeguardFact, ...]
    evidence: tuple[EvidenceFact, ...]
    explanations: tuple[ExplanationFact, ...]
    now: datetime
    facts: Facts


CALM = ("none", "personal", "special")


def throw(
    dice: random.Random,
    *,
    home: Sequence[str] = ("gcp:me-central2", "azure:uaenorth"),
    people: Sequence[str] = ("SA",),
    classes: Sequence[str] = CALM,
    law: str = "",
    made_under: str = "",
    risks: Sequence[str] = ("high", "high", "limited"),
    kinds: Sequence[str] = EVIDENCE,
    moments: Sequence[datetime] = (NOW,),
) -> Throw:
    """One case of up to four data sets and places, some in several regions, up to three safeguards, and evidence.

    Half of the cases are calm: nearly everything in them is as it should be, in ``home``, about ``people``, under
    ``law`` and of one of ``classes``, with a model of one of ``risks`` and evidence of all ``kinds``. Half of the
    safeguards are of ``made_under``, or of ``law`` when it is left out.
    """
    calm = dice.random() < 0.5
    parts: dict[str, Any] = {
        "model": ModelFact("credit-scoring", dice.choice(risks if calm else ["high", "limited", "minimal", ""])),
        "version": VersionFact(
            VERSION,
            "14",
            DIGEST if calm else dice.choice([DIGEST, "", "md5:1", DIGEST[:-1], DIGEST.upper()]),
            ("user:yusuf",) if calm else dice.choice([(), ("unmatched:noor",), ("user:yusuf", "unmatched:noor")]),
        ),
        "environment": EnvironmentFact(
            "prod-ksa",
            dice.choice(["prod", "dr", "staging", "", "sandbox"]),
            dice.choice(["SA", "AE-federal", "EU", "", law]),
        ),
        "promotion": PromotionFact(
            dice.choice(["promote", "deploy", "rollback", "run", *(["deploy"] * 3 if calm else [])]),
            "user:yusuf",
            "canary",
            10,
        ),
        "flows": tuple(
            each
            for number in range(dice.randint(1, 4))
            for each in _flows(dice, number, home, people, law, classes if calm else ())
        ),
        "safeguards": tuple(any_safeguard(dice, number, made_under or law) for number in range(dice.randint(0, 3))),
    }
    parts["now"] = dice.choice(moments)
    parts["evidence"] = _evidence(dice, kinds, calm, parts["version"].digest, parts["now"])
    # a die of its own: what the other says of everything else is as it was before there were explanations
    own = random.Random(str((parts["version"], parts["evidence"], parts["flows"])))
    parts["explanations"] = _explanations(own, calm, parts["version"].digest, parts["now"])
    return Throw(**parts, facts=freeze(**parts))


def _flows(
    dice: random.Random, number: int, home: Sequence[str], people: Sequence[str], law: str, calm: Sequence[str]
) -> list[FlowFact]:
    """One data set or place. When ``calm`` names classes, nine in ten are of those, at home; others may lie anywhere,
    often in several regions at once.
    """
    if calm and dice.random() < 0.9:
        region = dice.choice(home)
        values: dict[str, Any] = {
            "kind": dice.choice(KINDS),
            "classification": dice.choice(calm),
            "data_subjects": people,
        }
        values["perimeter"] = law
        return [flow(**values, subject=f"dataset:d{number}", region=region, country=COUNTRY[region])]
    shared = {
        "kind": dice.choice(KINDS),
        "subject": f"dataset:d{number}",
        "classification": dice.choice(CLASSES),
        "data_subjects": dice.choice([*PEOPLE, list(people)]),
        "perimeter": dice.choice([*LAWS_OF_FLOWS, law]),
    }
    regions = {dice.choice(home), *dice.sample(sorted(COUNTRY), dice.choice([1, 1, 2]))}
    return [
        flow(**shared, region=region, country=COUNTRY[region], confirmed=dice.random() < 0.9)
        for region in sorted(regions)
    ]


def any_safeguard(dice: random.Random, number: int, law: str) -> SafeguardFact:
    """Usually nearly right: each condition alone fails often enough to matter. Most are made under ``law``."""
    span = [timedelta(), timedelta(seconds=1), timedelta(days=9)]
    changes: dict[str, Any] = {
        "type": dice.choice(["SCC", "SCC", "BCR", "ACCREDITATION_CERT", "scc"]),
        "status": dice.choice(["active", "active", "active", "proposed", "revoked"]),
        "subjects": [f"dataset:d{index}" for index in range(4) if dice.random() < 0.8],
        "regions": [region for region in (*COUNTRY, "nowhere") if region and dice.random() < 0.8],
        "expires_at": dice.choice([None, *(NOW + length for length in span), NOW + span[-1], NOW - span[-1]]),
        "risk_assessment_at": dice.choice([None, *(NOW - length for length in span), NOW + span[1], NOW + span[2]]),
        "law": dice.choice([law, law, law, *LAWS_OF_FLOWS]),
    }
    return safeguard(id=f"TS-{number}", **changes)


def _evidence(
    dice: random.Random, kinds: Sequence[str], calm: bool, digest: str, now: datetime
) -> tuple[EvidenceFact, ...]:
    """When ``calm``, mostly one good piece of each kind, and some that are wrong; else a few that are nearly right."""
    good: dict[str, Any] = {"environment": "prod-ksa", "issued_at": now, "expires_at": now + timedelta(days=9)}
    given = [evidence(**good, id=f"EV-{kind}", type=kind) for kind in kinds if calm and dice.random() < 0.97]
    return (*given, *(any_evidence(dice, number, digest, now) for number in range(dice.randint(0, 3))))


def any_evidence(dice: random.Random, number: int, digest: str, now: datetime) -> EvidenceFact:
    """One piece in which one or two things may be wrong, each of them often enough to matter."""
    second, nine = timedelta(seconds=1), timedelta(days=9)
    right: dict[str, Any] = {
        "type": dice.choice(EVIDENCE),
        "artifact_digest": digest,
        "issued_at": now - nine,
        "expires_at": now + second,
        "environment": dice.choice(["", "prod-ksa"]),
    }
    wrong: dict[str, list[Any]] = {
        "type": ["intended-use", "FAIRNESS"],
        "status": ["withdrawn"],
        "subject": ["version:credit-scoring/13", "version:credit-scoring"],
        "artifact_digest": ["", "sha256:" + "b" * 64, DIGEST],
        "environment": ["prod-uae", "prod"],
        "issued_at": [now, now + second],
        "expires_at": [None, now, now - second, now + nine],
        "issued_by": ["user:yusuf", "unmatched:noor", "service:ci"],
    }
    faults = dice.sample(sorted(wrong), dice.choice([0, 1, 1, 2]))
    return evidence(**right | {name: dice.choice(wrong[name]) for name in faults}, id=f"EV-{number}")


def _explanations(dice: random.Random, calm: bool, digest: str, now: datetime) -> tuple[ExplanationFact, ...]:
    """When ``calm``, mostly a good one of each method; and up to two in which one or two things are wrong."""
    good = [
        explanation(id=f"explanation:{number}", method=method, version_digest=digest, finished_at=now)
        for number, method in ((90, "shap"), (91, "lime"))
        if calm and dice.random() < 0.9
    ]
    return (*good, *(any_explanation(dice, number, digest, now) for number in range(dice.randint(0, 2))))


def any_explanation(dice: random.Random, number: int, digest: str, now: datetime) -> ExplanationFact:
    """One in which one or two things may be wrong, each of them often enough to matter."""
    second, age = timedelta(seconds=1), timedelta(days=180)
    right: dict[str, Any] = {
        "method": dice.choice(["shap", "lime"]),
        "version_digest": digest,
        "finished_at": now - age + second,
        "rows": 20,
    }
    wrong: dict[str, list[Any]] = {
        "method": ["anchors", "SHAP"],
        "standing": ["draft"],
        "subject": ["version:credit-scoring/13"],
        "version_digest": ["", "sha256:" + "b" * 64, DIGEST],
        "stale": [["model"], ["config", "background"]],
        "stable": [False],
        "erased": [True],
        "rows": [0, 19, 21],
        "finished_at": [now - age, now, now + second],
        "environment": ["staging-ksa"],
    }
    faults = dice.sample(sorted(wrong), dice.choice([0, 1, 1, 2]))
    return explanation(**right | {name: dice.choice(wrong[name]) for name in faults}, id=f"explanation:{number}")


def as_thrown(document: Mapping[str, Any]) -> Throw:
    """A document of facts as the reference reads it: the input that it was frozen from."""

    def moment(text: str) -> datetime | None:
        return datetime.fromisoformat(text) if text else None

    version, model, environment = document["version"], document["model"], document["environment"]
    parts: dict[str, Any] = {
        "model": ModelFact(model["name"], model["risk"]),
        "version": VersionFact(version["subject"], version["number"], version["digest"], version["trained_by"]),
        "environment": EnvironmentFact(
            environment["slug"], environment["tier"], environment["perimeter"].replace("unknown", "")
        ),
        "promotion": PromotionFact(document["promotion"]["action"], "user:yusuf", "canary", 10),
        "flows": tuple(
            FlowFact(
                kind=one["kind"],
                subject=one["subject"],
                region=one["claimed_region"],
                country=one["country"],
                confirmed=one["region"] != "nowhere",
                classification=one["classification"],
                data_subjects=[who for who in one["data_subjects"] if who != "unknown"],
                path=one["path"],
                perimeter=one["perimeter"].replace("unknown", ""),
            )
            for one in document["flows"]
        ),
        "safeguards": tuple(
            SafeguardFact(
                **{
                    **one,
                    "expires_at": moment(one["expires_at"]),
                    "risk_assessment_at": moment(one["risk_assessment_at"]),
                }
            )
            for one in document["safeguards"]
        ),
        "evidence": tuple(
            EvidenceFact(
                **{
                    **one,
                    "issued_at": datetime.fromisoformat(one["issued_at"]),
                    "expires_at": moment(one["expires_at"]),
                }
            )
            for one in document.get("evidence", ())
        ),
        "explanations": tuple(
            ExplanationFact(
                **{name: value for name, value in one.items() if name not in ("fresh", "finished_at")},
                finished_at=datetime.fromisoformat(one["finished_at"]),
            )
            for one in document.get("explanations", ())
        ),
        "now": datetime.fromisoformat(document["now"]),
    }
    return Throw(**parts, facts=freeze(**parts))
