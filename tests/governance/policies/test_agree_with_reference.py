"""The engine against a plain Python reading of SA-RES-001, written from the law and not from the YAML."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any

from governance.policies import FlowFact, SafeguardFact, evaluate
from tests.governance.policies.cases import NOW, facts, flow, safeguard, shipped

IN_KINGDOM = ("gcp:me-central2", "oci:me-jeddah-1", "oci:me-riyadh-1")
OUTSIDE = ("onprem:uae-1", "aws:me-central-1", "alibaba:me-central-1", "")
REGIONS = (*IN_KINGDOM, "onprem:ksa-riyadh", "onprem:ksa-", *OUTSIDE)
KINDS = ("dataset", "serving", "inference_log")


def lawful(one: FlowFact, guards: list[SafeguardFact]) -> bool:
    """True when the rule has nothing against this flow."""
    personal = one.classification != "none"
    concerned = {"SA", "unknown"} & set(one.data_subjects or ["unknown"])
    if not personal or not concerned:
        return True
    region = one.region if one.confirmed and one.region else "nowhere"
    if region in IN_KINGDOM or region.startswith("onprem:ksa-"):
        return True
    return any(covers(guard, one, region) for guard in guards)


def covers(guard: SafeguardFact, one: FlowFact, region: str) -> bool:
    sensitive = one.classification not in ("none", "personal")
    return (
        guard.type in ("SCC", "BCR", "ACCREDITATION_CERT")
        and guard.status == "active"
        and one.subject in guard.subjects
        and region in guard.regions
        and guard.expires_at is not None
        and guard.expires_at > NOW
        and not (guard.type == "ACCREDITATION_CERT" and sensitive)
        and guard.risk_assessment_at is not None
        and guard.risk_assessment_at <= NOW
    )


def any_flow(dice: random.Random, number: int) -> FlowFact:
    people = dice.choice([["SA"], ["SA", "AE"], ["AE"], [], ["DE", "AE"]])
    return flow(
        kind=dice.choice(KINDS),
        subject=f"dataset:d{number}",
        region=dice.choice(REGIONS),
        confirmed=dice.random() < 0.9,
        classification=dice.choice(["none", "personal", "personal", "sensitive", "special", "unknown"]),
        data_subjects=people,
    )


def any_safeguard(dice: random.Random, number: int) -> SafeguardFact:
    span = [-timedelta(days=1), timedelta(), timedelta(seconds=1), timedelta(days=9)]
    changes: dict[str, Any] = {
        "type": dice.choice(["SCC", "SCC", "BCR", "ACCREDITATION_CERT", "scc"]),
        "status": dice.choice(["active", "active", "active", "proposed", "revoked"]),
        "subjects": [f"dataset:d{index}" for index in range(6) if dice.random() < 0.8],
        "regions": [region for region in (*REGIONS, "nowhere") if region and dice.random() < 0.8],
        "expires_at": dice.choice([None, *(NOW + length for length in span[1:]), NOW + span[-1]]),
        "risk_assessment_at": dice.choice([None, *(NOW - length for length in span), NOW]),
    }
    return safeguard(id=f"TS-{number}", **changes)


def test_the_engine_agrees_with_the_reference_on_a_thousand_random_fact_sets() -> None:
    dice = random.Random(20261122)
    packs = shipped("ksa-pdpl")
    seen: Counter[str] = Counter()
    for _ in range(1_000):
        flows = [any_flow(dice, number) for number in range(dice.randint(1, 6))]
        guards = [any_safeguard(dice, number) for number in range(dice.randint(0, 3))]
        decision = evaluate(packs, facts(*flows, safeguards=guards))
        against = {one.subject for one in decision.findings if one.rule == "SA-RES-001" and one.outcome == "fail"}
        errors = [one for one in decision.findings if one.rule == "SA-RES-001" and one.outcome == "error"]
        expected = {one.subject for one in flows if not lawful(one, guards)}
        assert against == expected
        assert not errors
        if expected:
            assert decision.word == "deny"
        seen["denied" if expected else "lawful"] += 1
        seen["waived"] += any(one.waived_by for one in decision.findings)
    assert all(seen[word] > 50 for word in ("denied", "lawful", "waived")), seen
