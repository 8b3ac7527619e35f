"""Small builders for facts and packs; every value can be replaced by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from governance.policies import (
    CompiledPack,
    EnvironmentFact,
    EvidenceFact,
    ExplanationFact,
    Facts,
    FlowFact,
    ModelFact,
    PromotionFact,
    SafeguardFact,
    VersionFact,
    compile_pack,
    freeze,
    shipped_packs,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
VERSION = "version:credit-scoring/14"
DIGEST = "sha256:" + "a" * 64
DAY = timedelta(days=1)


def flow(**changes: Any) -> FlowFact:
    """Saudi personal data in Dammam."""
    values: dict[str, Any] = {
        "kind": "dataset",
        "subject": "dataset:loans",
        "region": "gcp:me-central2",
        "country": "SA",
        "confirmed": True,
        "classification": "personal",
        "data_subjects": ["SA"],
        "path": [VERSION, "run:7", "dataset:loans"],
    }
    return FlowFact(**{**values, **changes})


def safeguard(**changes: Any) -> SafeguardFact:
    """Standard clauses that cover the loans in Frankfurt for thirty days more."""
    values: dict[str, Any] = {
        "id": "TS-1",
        "type": "SCC",
        "status": "active",
        "subjects": ["dataset:loans"],
        "regions": ["aws:eu-central-1"],
        "expires_at": NOW + 30 * DAY,
        "risk_assessment_at": NOW - 10 * DAY,
        "law": "SA",
    }
    return SafeguardFact(**{**values, **changes})


def evidence(**changes: Any) -> EvidenceFact:
    """A validation report of these files by somebody else, for one day more."""
    values: dict[str, Any] = {
        "id": "EV-1",
        "type": "validation_report",
        "status": "active",
        "subject": VERSION,
        "digest": "sha256:" + "e" * 64,
        "issued_by": "user:noor",
        "issued_at": NOW - DAY,
        "artifact_digest": DIGEST,
        "expires_at": NOW + DAY,
    }
    return EvidenceFact(**{**values, **changes})


def explanation(**changes: Any) -> ExplanationFact:
    """SHAP values of these files that count as evidence, asked where it is served, a day old."""
    values: dict[str, Any] = {
        "id": "explanation:1",
        "subject": VERSION,
        "version_digest": DIGEST,
        "method": "shap",
        "algorithm": "pair_perm",
        "level": "standard",
        "scale": "probability",
        "standing": "evidence",
        "stable": True,
        "rows": 200,
        "background": 100,
        "finished_at": NOW - DAY,
        "environment": "prod-ksa",
        "receipt": "sha256:" + "c" * 64,
    }
    return ExplanationFact(**{**values, **changes})


def facts(
    *flows: FlowFact,
    safeguards: Sequence[SafeguardFact] = (),
    now: datetime = NOW,
    tier: str = "prod",
    action: str = "promote",
    trained_by: Sequence[str] = ("user:yusuf",),
    digest: str = DIGEST,
    risk: str = "high",
    **papers: Any,
) -> Facts:
    return freeze(
        now=now,
        model=ModelFact("credit-scoring", risk),
        version=VersionFact(VERSION, "14", digest, trained_by),
        environment=EnvironmentFact("prod-ksa", tier, "SA"),
        promotion=PromotionFact(action, "user:yusuf", "canary", 10),
        flows=flows or (flow(),),
        safeguards=safeguards,
        **papers,
    )


def shipped(*names: str) -> list[CompiledPack]:
    texts = shipped_packs()
    return [compile_pack(texts[name]) for name in names]


def without_cases(text: str) -> str:
    """A shipped pack without the cases at its end: whoever changes its rules would have to change them too."""
    return text.partition("\ncases:\n")[0] + "\n"


def pack(rule: str, *, params: str = "{}", more: str = "") -> str:
    """A pack of one rule; ``rule`` replaces lines of the default by key, ``- key`` drops it."""
    lines = {
        "id": "T-1",
        "title": "A title",
        "cites": '["Art. 1"]',
        "severity": "block",
        "concern": "residency",
        "for_each": "flow",
        "require": '{ok: "true"}',
        "message": '"{subject} is wrong"',
        "remedy": "Mend it",
        "who": "[dpo]",
    }
    for line in filter(None, rule.splitlines()):
        key, _, value = line.partition(":")
        if key.startswith("- "):
            del lines[key[2:]]
        else:
            lines[key.strip()] = value.strip()
    body = "\n    ".join(f"{key}: {value}" for key, value in lines.items())
    head = "pack: test\nversion: 1\ntitle: Test\nstatus: draft\neffective_from: 2026-01-01\n"
    return f"{head}params: {params}\nrules:\n  - {body}\n{more}"
