"""Explanations that show nothing: each way in which one is wrong fails by itself, in every shipped rule that asks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from governance.policies import (
    ExplanationFact,
    Finding,
    Inputs,
    PackError,
    People,
    compile_pack,
    evaluate,
    lint_pack,
    shipped_packs,
    thaw,
)
from governance.policies.candidates import Known
from governance.policies.ways import ways_to_pass
from tests.governance.policies.cases import NOW, evidence, explanation, facts, flow, pack, shipped

HALF_A_YEAR = timedelta(days=180)
PACK = compile_pack(shipped_packs()["explained-models"].replace("severity: warn", "severity: block"))
RULES = {one.rule.id: one for one in PACK.rules}
METHODS = {"XPL-001": "shap", "XPL-002": "lime", "XPL-003": "shap"}
EVERY: dict[str, dict[str, Any]] = {
    "a draft": {"standing": "draft"},
    "of a standing that nobody knows": {"standing": "unknown"},
    "of other files": {"version_digest": "sha256:" + "b" * 64},
    "of nobody knows which files": {"version_digest": ""},
    "of another version": {"subject": "version:credit-scoring/13"},
    "stale by its model": {"stale": ["model"]},
    "stale by its background": {"stale": ["background"]},
    "stale by its configuration": {"stale": ["config"]},
}
MEASURED: dict[str, dict[str, Any]] = {
    "not stable": {"stable": False},
    "erased in part": {"erased": True},
    "from the future": {"finished_at": NOW + timedelta(seconds=1)},
    "half a year old": {"finished_at": NOW - HALF_A_YEAR},
    "by another method": {"method": "anchors"},
}
WRONG = [
    *((rule, how, wrong) for rule in RULES for how, wrong in EVERY.items()),
    *((rule, how, wrong) for rule in ("XPL-001", "XPL-002") for how, wrong in MEASURED.items()),
    ("XPL-001", "of too few rows", {"rows": 19}),
    ("XPL-003", "from another environment", {"environment": "staging-ksa"}),
]


def fine(rule: str, **changes: Any) -> ExplanationFact:
    return explanation(**{"method": METHODS[rule], **changes})


def found(rule: str, *given: ExplanationFact, **more: Any) -> Finding:
    known = facts(flow(classification="none"), explanations=given, **{"action": "run", **more})
    return next(one for one in evaluate([PACK], known).findings if one.rule == rule)


@pytest.mark.parametrize("rule", RULES)
def test_a_good_one_shows_it_and_none_shows_nothing(rule: str) -> None:
    good = found(rule, fine(rule))
    assert (good.outcome, good.message.endswith("shown by explanation:1.")) == ("pass", True)
    none = found(rule)
    assert (none.outcome, none.failed, none.closest) == ("fail", ("explanation",), ())
    assert (none.where, bool(none.remedy), "data_scientist" in none.who) == ("/explanations", True, True)


@pytest.mark.parametrize(("rule", "how", "wrong"), WRONG, ids=[f"{rule} {how}" for rule, how, _ in WRONG])
def test_one_that_is_wrong_in_one_way_shows_nothing(rule: str, how: str, wrong: dict[str, Any]) -> None:
    one = found(rule, fine(rule, **wrong))
    assert (one.outcome, one.failed) == ("fail", ("explanation",)), how
    assert one.closest[0].id == "explanation:1"


def test_the_last_second_of_half_a_year_still_counts() -> None:
    assert found("XPL-001", fine("XPL-001", finished_at=NOW - HALF_A_YEAR + timedelta(seconds=1))).outcome == "pass"


@pytest.mark.parametrize("rule", RULES)
def test_of_a_version_without_a_digest_nothing_is_explained(rule: str) -> None:
    assert found(rule, fine(rule, version_digest=""), digest="").outcome == "fail"


def test_the_better_of_two_counts_and_a_draft_takes_nothing_away() -> None:
    draft = fine("XPL-001", id="explanation:2", standing="draft", stable=False)
    assert found("XPL-001", draft, fine("XPL-001")).outcome == "pass"


def test_evidence_about_an_explanation_is_no_explanation() -> None:
    known = facts(flow(classification="none"), evidence=[evidence(type="explanation")])
    assert {one.outcome for one in evaluate([PACK], known).findings if one.rule in ("XPL-001", "XPL-002")} == {"fail"}


def test_facts_from_before_there_were_explanations_replay_to_the_same_digest() -> None:
    old = facts()
    assert "explanations" not in old.document
    assert thaw(old.document).digest == old.digest
    with_one = facts(explanations=[explanation()])
    assert thaw(with_one.document).digest == with_one.digest != old.digest


def test_a_rule_that_needs_an_explanation_cannot_read_evidence_and_the_other_way_round() -> None:
    text = pack(
        "- require\n- concern\n- for_each\nneeds_any: explanation\n"
        "needs: {of_type: \"evidence.type == 'explanation'\"}\n"
    )
    with pytest.raises(PackError, match="evidence"):
        lint_pack(text)
    with pytest.raises(PackError, match="known are evidence, explanation"):
        lint_pack(text.replace("needs_any: explanation", "needs_any: paper"))


def test_what_is_missing_is_explained_and_each_way_says_by_which_method() -> None:
    known = facts(flow(), explanations=[fine("XPL-002")])
    nobody = Inputs((), People({}, "user:yusuf", frozenset()), "sha256:" + "5" * 64, needed=False)
    ways = ways_to_pass([PACK, *shipped("ksa-pdpl")], known, nobody, Known()).ways
    assert [each.kind for each in ways[0].actions] == ["run_explanation"]
    assert ways[0].actions[0].details() == {"method": "shap"}
