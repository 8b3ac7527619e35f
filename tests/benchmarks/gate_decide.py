"""An explained decision over frozen facts, against the same rule written by hand in plain Python on the same facts.

The rule is SA-RES-001 of the shipped Saudi pack, with three safeguards: most data sets lie in the Kingdom, some abroad
under a safeguard, some abroad without. Ours answers findings with citations, paths, failed conditions and near misses;
the hand-written one answers which subjects are unlawful and nothing else. Both start from the document as the database
holds it, each time at another moment, as in life; what an expression said about equal values before may be used again.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from governance.policies import (
    EnvironmentFact,
    Facts,
    FlowFact,
    ModelFact,
    PromotionFact,
    SafeguardFact,
    VersionFact,
    compile_pack,
    evaluate,
    freeze,
    shipped_packs,
)
from governance.policies.vocabulary import format_time

GOAL = 25.0
ROUNDS = 30
REPEATED = 30
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
VERSION = "version:credit-scoring/14"
ALLOWED = ("gcp:me-central2", "oci:me-jeddah-1", "oci:me-riyadh-1")
TYPES = ("SCC", "BCR", "ACCREDITATION_CERT")


def document(size: int) -> Facts:
    """``size`` data sets in one chain behind the version, a serving region and a log sink."""
    chain = [VERSION, *(f"dataset:ds-{number:03}" for number in range(size))]
    places = [(ALLOWED[number % 3], "SA") if number % 5 else ("aws:eu-central-1", "DE") for number in range(size)]
    flows = [
        FlowFact(
            kind="dataset",
            subject=chain[number + 1],
            region=region,
            country=country,
            confirmed=True,
            classification=("personal", "sensitive", "none")[number % 3],
            data_subjects=["SA"],
            path=chain[: number + 2],
        )
        for number, (region, country) in enumerate(places)
    ]
    for kind in ("serving", "inference_log"):
        flows.append(FlowFact(kind, "environment:prod-ksa", "gcp:me-central2", "SA", True, "sensitive", ["SA"]))
    covered = [one.subject for number, one in enumerate(flows) if number % 2 == 0]
    terms = {"regions": ["aws:eu-central-1"], "risk_assessment_at": NOW - timedelta(days=30), "law": "SA"}
    return freeze(
        now=NOW,
        model=ModelFact("credit-scoring", "high"),
        version=VersionFact(VERSION, "14", "sha256:" + "a" * 64, ["user:yusuf"]),
        environment=EnvironmentFact("prod-ksa", "prod", "SA"),
        promotion=PromotionFact("promote", "user:yusuf", "canary", 10),
        flows=flows,
        safeguards=[
            SafeguardFact("TS-1", "SCC", "active", covered, expires_at=NOW + timedelta(days=90), **terms),
            SafeguardFact("TS-2", "SCC", "active", covered, expires_at=NOW - timedelta(days=1), **terms),
            SafeguardFact("TS-3", "ACCREDITATION_CERT", "active", covered, expires_at=NOW + timedelta(days=9), **terms),
        ],
    )


def by_hand(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The subjects and kinds that SA-RES-001 forbids."""
    now = facts["now"]
    return [
        (flow["subject"], flow["kind"])
        for flow in facts["flows"]
        if flow["personal"]
        and ("SA" in flow["data_subjects"] or "unknown" in flow["data_subjects"])
        and not (flow["region"] in ALLOWED or flow["region"].startswith("onprem:ksa-"))
        and not any(
            guard["type"] in TYPES
            and guard["law"] == "SA"
            and guard["status"] == "active"
            and flow["subject"] in guard["subjects"]
            and flow["region"] in guard["regions"]
            and guard["expires_at"] > now
            and not (guard["type"] == "ACCREDITATION_CERT" and flow["sensitive"])
            and "" < guard["risk_assessment_at"] <= now
            for guard in facts["safeguards"]
        )
    ]


def seconds(call: Callable[[], object], times: int) -> float:
    """One call's time on the processor, over ``times`` of them: both sides only compute, and others may be busy."""
    begin = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begin) / times


def compare(size: int) -> float:
    """The ratio of medians for a closure of ``size`` data sets, both sides taking turns."""
    frozen = document(size)
    packs = [compile_pack(shipped_packs()["ksa-pdpl"])]
    decision = evaluate(packs, frozen)
    forbidden = {(one.subject, one.facts["kind"]) for one in decision.findings if one.outcome == "fail"}
    assert forbidden == set(by_hand(frozen.document)), "both sides must decide alike"
    assert forbidden
    ours, hand = [], []
    moments = ({**frozen.document, "now": format_time(NOW + timedelta(seconds=second))} for second in count(1))
    for _ in range(ROUNDS):
        gc.collect()
        ours.append(seconds(lambda: evaluate(packs, Facts(next(moments), frozen.digest)), REPEATED))
        hand.append(seconds(lambda: by_hand(frozen.document), REPEATED))
    a, b = statistics.median(ours) * 1e3, statistics.median(hand) * 1e3
    print(f"{size} data sets: explained decision {a:.3f} ms, by hand {b:.4f} ms, ratio {a / b:.1f}")
    return a / b


def main() -> None:
    """Both sizes; the worse counts."""
    ratio = max(compare(size) for size in (25, 300))
    print(f"gate_decide ratio={ratio:.1f} goal={GOAL:g}")


if __name__ == "__main__":
    main()
