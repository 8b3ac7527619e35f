"""Evidence that shows nothing: each way in which a piece is wrong denies by itself, in every shipped rule that asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from governance.policies import CompiledPack, EvidenceFact, Finding, compile_pack, evaluate, lint_pack, shipped_packs
from governance.policies.compile import CompiledRule
from tests.governance.policies.cases import DAY, DIGEST, NOW, evidence, facts, flow, shipped

#: Everything that ships is in force by then.
LATER = datetime(2028, 1, 1, tzinfo=UTC)
#: People in Germany, data that the GDPR calls special: every rule about evidence applies.
GERMANS = flow(region="aws:eu-central-1", country="DE", classification="special", data_subjects=["DE"], perimeter="EU")
ASKING = [
    (pack, rule)
    for pack in (compile_pack(text) for text in shipped_packs().values())
    for rule in pack.rules
    if rule.needs is not None and rule.rule.asks_for == "evidence"
]
#: The rules that apply only to people elsewhere: they warn.
ELSEWHERE = {"AIA-086-PLACE", "GDPR-22-PLACE"}
each_rule = pytest.mark.parametrize(
    ("pack", "rule"),
    [each for each in ASKING if each[1].rule.id not in ELSEWHERE],
    ids=lambda each: each.rule.id if isinstance(each, CompiledRule) else each.id,
)
WRONG: dict[str, dict[str, Any]] = {
    "of another kind": {"type": "load_test"},
    "for another digest": {"artifact_digest": "sha256:" + "b" * 64},
    "for nobody knows which digest": {"artifact_digest": ""},
    "of another version": {"subject": "version:credit-scoring/13"},
    "for another environment": {"environment": "prod-uae"},
    "withdrawn": {"status": "withdrawn"},
    "of a state that nobody knows": {"status": "unknown"},
    "expired": {"expires_at": LATER},
    "expired a second before": {"expires_at": LATER - timedelta(seconds=1)},
    "from the future": {"issued_at": LATER + timedelta(seconds=1)},
}


def kind_of(rule: CompiledRule) -> str:
    return dict(rule.rule.needs)["of_type"].value.split("'")[1]


def fine(rule: CompiledRule, **changes: Any) -> EvidenceFact:
    good: dict[str, Any] = {"environment": "prod-ksa", "expires_at": LATER + DAY, "issued_at": LATER - DAY}
    return evidence(**good | {"type": kind_of(rule)} | changes)


def found(pack: CompiledPack, rule: CompiledRule, *pieces: EvidenceFact, **given: Any) -> Finding:
    known = facts(GERMANS, evidence=pieces, **{"now": LATER, **given})
    return next(one for one in evaluate([pack], known).findings if one.rule == rule.rule.id)


@each_rule
def test_a_good_piece_shows_it_and_none_shows_nothing(pack: CompiledPack, rule: CompiledRule) -> None:
    good = found(pack, rule, fine(rule))
    assert (good.outcome, good.message.endswith("shown by EV-1.")) == ("pass", True)
    none = found(pack, rule)
    assert (none.outcome, none.failed, none.closest) == ("fail", ("evidence",), ())


@pytest.mark.parametrize("how", WRONG)
@each_rule
def test_a_piece_that_is_wrong_in_one_way_shows_nothing(pack: CompiledPack, rule: CompiledRule, how: str) -> None:
    one = found(pack, rule, fine(rule, **WRONG[how]))
    assert (one.outcome, one.failed) == ("fail", ("evidence",))
    assert one.closest[0].id == "EV-1"


@each_rule
def test_a_version_without_a_digest_is_shown_by_nothing(pack: CompiledPack, rule: CompiledRule) -> None:
    assert found(pack, rule, fine(rule, artifact_digest=""), digest="").outcome == "fail"


@each_rule
def test_an_unknown_risk_reads_as_high_and_unknown_people_as_concerned(pack: CompiledPack, rule: CompiledRule) -> None:
    assert found(pack, rule, risk="").outcome == "fail"
    assert found(pack, rule, tier="").outcome == "fail"
    unknown = facts(flow(data_subjects=[], classification="unknown"), now=LATER)
    assert next(one for one in evaluate([pack], unknown).findings if one.rule == rule.rule.id).outcome == "fail"


@each_rule
def test_an_open_end_is_enough_only_where_it_makes_sense(pack: CompiledPack, rule: CompiledRule) -> None:
    expected = "pass" if kind_of(rule) in ("container", "intended_use") else "fail"
    assert found(pack, rule, fine(rule, expires_at=None)).outcome == expected


@each_rule
def test_the_closest_piece_is_one_of_the_right_kind(pack: CompiledPack, rule: CompiledRule) -> None:
    others = [fine(rule, id=f"EV-0{n}", type="load_test") for n in range(5)]
    closest = found(pack, rule, *others, fine(rule, id="EV-9", status="withdrawn")).closest[0]
    assert (closest.id, closest.failed) == ("EV-9", ("active",))


def test_who_trained_it_does_not_validate_it() -> None:
    pack, rule = next(each for each in ASKING if each[1].rule.id == "READY-001")
    assert found(pack, rule, fine(rule, issued_by="user:yusuf"), trained_by=("user:yusuf",)).outcome == "fail"


@pytest.mark.parametrize(
    ("name", "day"),
    [("eu-ai-act", datetime(2026, 8, 2, tzinfo=UTC)), ("eu-ai-act-chapter-3", datetime(2027, 12, 2, tzinfo=UTC))],
)
def test_a_duty_blocks_from_its_date_on_and_not_a_second_before(name: str, day: datetime) -> None:
    for now, outcome in ((day - timedelta(seconds=1), "not_applicable"), (day, "fail")):
        findings = evaluate(shipped(name), facts(GERMANS, now=now)).findings
        assert {one.outcome for one in findings if one.pack and one.severity == "block"} == {outcome}


def test_people_in_the_gulf_are_left_to_the_laws_of_the_gulf() -> None:
    packs = shipped("eu-ai-act", "eu-ai-act-chapter-3", "gdpr-art-22", "deployment-readiness")
    findings = [one for one in evaluate(packs, facts(flow())).findings if one.pack]
    assert not [one.rule for one in findings if one.blocks]
    assert {one.outcome for one in findings if one.pack != "deployment-readiness"} == {"not_applicable"}


def test_the_decision_ends_with_the_evidence_that_it_relies_on() -> None:
    enforced = lint_pack(shipped_packs()["deployment-readiness"].replace("severity: warn", "severity: block"))
    ends = {rule.rule.id: NOW + (number + 2) * DAY for number, rule in enumerate(enforced.rules)}
    pieces = [
        evidence(id=rule.rule.id, type=kind_of(rule), environment="prod-ksa", expires_at=ends[rule.rule.id])
        for rule in enforced.rules
    ]
    decision = evaluate([enforced, *shipped("ksa-pdpl")], facts(evidence=pieces, digest=DIGEST))
    assert (decision.word, decision.valid_until) == ("allow", f"{NOW + 2 * DAY:%Y-%m-%dT%H:%M:%SZ}")
    assert all(one.rule.waivable for one in enforced.rules)
