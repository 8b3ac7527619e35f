"""Findings in words: what a safeguard lacks, what several findings share, and what each thing is called."""

from __future__ import annotations

from typing import Any

import pytest

from governance import wording
from governance.policies import packs
from registry import comparison


def _finding(kind: str = "serving", **change: Any) -> dict[str, Any]:
    return {
        "rule": "SA-RES-001",
        "outcome": "fail",
        "subject": "environment:dr-frankfurt",
        "path": ["version:credit-scoring/3", "environment:dr-frankfurt"],
        "facts": {"kind": kind, "region": "aws:eu-central-1", "claimed_region": "aws:eu-central-1"},
        "failed": ["in_region"],
        "closest": [
            {"id": "SCC-1", "failed": ["not_expired"]},
            {"id": "SCC-2", "failed": ["covers_subject", "covers_region"]},
        ],
        "message": f"environment:dr-frankfurt ({kind}) is in aws:eu-central-1",
        "remedy": "Move it",
        "who": ["dpo", "ml_lead"],
        "where": "/transfers",
        **change,
    }


def test_only_the_closest_safeguards_are_named_and_in_words() -> None:
    assert wording.closest(_finding()) == ("SCC-1 is the closest safeguard: it has expired.",)


def test_a_safeguard_that_lacks_two_things_says_both() -> None:
    finding = _finding(closest=[{"id": "SCC-2", "failed": ["covers_subject", "covers_region"]}])
    assert wording.closest(finding) == (
        "SCC-2 is the closest safeguard: it does not cover environment:dr-frankfurt"
        " and does not cover the region aws:eu-central-1.",
    )


def test_a_condition_of_somebodys_own_pack_is_named_without_underscores() -> None:
    assert wording.lacking("board_has_approved", _finding()) == "lacks «board has approved»"


def test_an_unknown_region_is_not_named_by_its_machine_word() -> None:
    finding = _finding(facts={"kind": "serving", "region": "nowhere", "claimed_region": ""})
    assert "nowhere" not in wording.lacking("covers_region", finding)


def test_every_condition_of_the_shipped_packs_has_words() -> None:
    import yaml

    rules = [rule for text in packs.shipped_packs().values() for rule in yaml.safe_load(text).get("rules", [])]
    conditions = {name for rule in rules for name in rule.get("unless", {})}
    assert conditions
    assert [name for name in sorted(conditions) if "«" in wording.lacking(name, _finding())] == []


def test_evidence_that_comes_close_is_called_evidence_and_of_another_type_is_not_close() -> None:
    misses = [{"id": "EV-1", "failed": ["valid_now"]}, {"id": "EV-2", "failed": ["of_type"]}]
    finding = _finding(failed=["evidence"], facts={}, closest=misses)
    assert wording.closest(finding) == (
        "EV-1 is the closest evidence: it has expired, has no end or is dated in the future.",
    )
    assert wording.closest({**finding, "closest": misses[1:]}) == ()


def test_every_condition_on_evidence_and_explanations_of_the_shipped_packs_has_words() -> None:
    import yaml

    rules = [rule for text in packs.shipped_packs().values() for rule in yaml.safe_load(text).get("rules", [])]
    for what in ("evidence", "explanation"):
        conditions = {name for rule in rules if rule.get("needs_any") == what for name in rule["needs"]}
        assert conditions
        asked = _finding(failed=[what])
        assert [name for name in sorted(conditions) if "«" in wording.lacking(name, asked)] == []


def test_findings_that_differ_in_their_kind_only_are_one() -> None:
    (said,) = wording.merged([_finding("inference_log"), _finding("serving")])
    assert said.messages == ("environment:dr-frankfurt (serving, inference log) is in aws:eu-central-1",)


def test_findings_that_differ_in_more_than_their_kind_keep_their_messages() -> None:
    (said,) = wording.merged([_finding("serving"), _finding("inference_log", message="Logs are kept in Frankfurt")])
    assert said.messages == ("environment:dr-frankfurt (serving) is in aws:eu-central-1", "Logs are kept in Frankfurt")


def test_findings_about_other_subjects_or_with_other_safeguards_stay_apart() -> None:
    apart = [_finding(), _finding(subject="dataset:loans"), _finding(closest=[])]
    assert len(wording.merged(apart)) == 3


def test_a_remedy_is_told_once_and_leads_to_no_other_site() -> None:
    found = wording.remedies([_finding(), _finding("inference_log"), _finding(remedy="Ask.", where="//evil.example")])
    assert found == [wording.Remedy("Move it", "/transfers"), wording.Remedy("Ask", "")]
    assert wording.suppliers([_finding(), _finding(who=["dpo", "auditor"])]) == ["dpo", "ml_lead", "auditor"]


@pytest.mark.parametrize(
    ("metric", "change", "verdict"),
    [
        ("auc", "+0.01", "better"),
        ("val_AUC", "−0.01", "worse"),
        ("brier", "−0.01", "better"),
        ("parity gap (sex)", "+0.01", "worse"),
        ("auc_gap", "+0.01", "changed"),
        ("approvals", "+0.01", "changed"),
        ("auc", "±0", "unchanged"),
        ("auc", "", ""),
    ],
)
def test_a_change_is_better_or_worse_only_where_the_direction_is_known(metric: str, change: str, verdict: str) -> None:
    assert comparison.verdict(metric, change) == verdict
