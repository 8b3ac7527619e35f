"""What people put on paper: a safeguard of one law, evidence that a rule needs, a waiver that lets a failure pass."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from governance.policies import (
    Decision,
    EvidenceFact,
    MissingFact,
    PackError,
    WaiverFact,
    compile_pack,
    evaluate,
    lint_pack,
    thaw,
)
from tests.governance.policies.cases import DAY, NOW, VERSION, evidence, facts, flow, pack, safeguard, shipped

ABROAD = flow(region="aws:eu-central-1", country="DE")
NEEDS = """- require
- concern
- for_each
needs_any: evidence
needs: {type: "evidence.type == 'validation_report'", of_this: "evidence.artifact_digest == version.digest", \
not_expired: "has(evidence.expires_at) && evidence.expires_at > now"}
waivable: true
message: "Nobody validated {subject}"
""".replace("\\\n", "")
READY = compile_pack(pack(NEEDS))


def waiver(**changes: Any) -> WaiverFact:
    values: dict[str, Any] = {
        "id": "WV-1",
        "pack": "test",
        "pack_version": 1,
        "rule": "T-1",
        "version": VERSION,
        "environment": "prod-ksa",
        "subjects": [VERSION],
        "starts_at": NOW - DAY,
        "ends_at": NOW + DAY,
        "approved_by": "user:omar",
    }
    return WaiverFact(**{**values, **changes})


def decided(*given: EvidenceFact, waivers: tuple[WaiverFact, ...] = ()) -> Decision:
    return evaluate([READY, *shipped("ksa-pdpl")], facts(evidence=given, waivers=waivers))


def refused(text: str) -> str:
    with pytest.raises(PackError) as caught:
        lint_pack(text)
    return str(caught.value)


@pytest.mark.parametrize("name", ["ksa-pdpl", "uae-pdpl", "adgm-dpr", "difc-dpl", "qfc-dpr", "gdpr-transfers"])
@pytest.mark.parametrize("law", ["SA", "AE-federal", "AE-ADGM", "AE-DIFC", "QA-QFC", "EU", "BH", ""])
def test_a_safeguard_excuses_under_the_law_that_it_was_made_under_and_no_other(name: str, law: str) -> None:
    own = {
        "ksa-pdpl": ("SA", "SA"),
        "uae-pdpl": ("AE-federal", "AE-federal"),
        "adgm-dpr": ("AE-ADGM", "AE-ADGM"),
        "difc-dpl": ("AE-DIFC", "AE-DIFC"),
        "qfc-dpr": ("QA-QFC", "QA-QFC"),
        "gdpr-transfers": ("EU", "EU"),
    }[name]
    place = flow(region="aws:us-east-1", country="US", data_subjects=[own[0]], perimeter=own[1])
    paper = safeguard(law=law, regions=["aws:us-east-1"])
    found = evaluate(shipped(name), facts(place, safeguards=[paper]))
    assert found.word == ("allow" if law == own[0] else "deny")
    if law != own[0]:
        assert "made_under" in found.blocking[0].closest[0].failed


def test_lint_refuses_a_residency_rule_that_asks_no_safeguard_for_its_law() -> None:
    rule = """require: {here: "flow.region == 'gcp:me-central2'"}
unless_any: safeguard
unless: {active: "safeguard.status == 'active'"}
"""
    assert "made under another law" in refused(pack(rule))
    lint_pack(pack(rule.replace("'active'\"", "'active' && safeguard.law == 'SA'\"")))


def test_stored_safeguards_of_format_2_are_of_no_known_law() -> None:
    document = dict(facts(ABROAD, safeguards=[safeguard()]).document)
    document["format"] = "countersign-facts/2"
    document["safeguards"] = [{k: v for k, v in one.items() if k != "law"} for one in document["safeguards"]]
    found = evaluate(shipped("ksa-pdpl"), thaw(document))
    assert found.word == "deny"
    assert found.blocking[0].closest[0].failed == ("made_under",)


def test_evidence_that_satisfies_every_line_passes_and_its_end_ends_the_decision() -> None:
    found = decided(evidence(), evidence(id="EV-2", expires_at=NOW + 9 * DAY))
    assert found.word == "allow"
    assert next(one for one in found.findings if one.rule == "T-1").message == "A title: shown by EV-2."
    assert found.valid_until == (NOW + 9 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"type": "fairness"}, "type"),
        ({"artifact_digest": "sha256:" + "b" * 64}, "of_this"),
        ({"artifact_digest": ""}, "of_this"),
        ({"expires_at": NOW}, "not_expired"),
        ({"expires_at": None}, "not_expired"),
    ],
)
def test_evidence_that_lacks_a_line_is_named_as_the_closest(change: dict[str, Any], missing: str) -> None:
    found = decided(evidence(**change)).blocking
    assert [(one.rule, one.outcome, one.failed) for one in found] == [("T-1", "fail", ("evidence",))]
    assert [(near.id, near.failed) for near in found[0].closest] == [("EV-1", (missing,))]


def test_no_evidence_at_all_denies_and_no_two_halves_make_a_whole() -> None:
    assert decided().word == "deny"
    halves = (evidence(type="fairness"), evidence(id="EV-2", artifact_digest=""))
    assert decided(*halves).word == "deny"


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("- require\n", "require something"),
        ("- require\n- concern\n- for_each\nneeds_any: evidence\n", "belong together"),
        ("needs_any: evidence\nneeds: {a: \"evidence.type == 'x'\"}\n", "about a version"),
        ('- require\nunless_any: safeguard\nunless: {a: "true"}\n', "excuses a requirement"),
        ("waivable: true\n", "Nobody can waive the law"),
        (NEEDS.replace("evidence.type", "evidence.typ"), "undefined field 'typ'"),
        (NEEDS.replace("evidence.type ==", "safeguard.type =="), "undeclared reference"),
    ],
)
def test_a_rule_that_contradicts_itself_is_refused(rule: str, sentence: str) -> None:
    with pytest.raises(PackError) as caught:
        compile_pack(pack(rule))
    assert sentence in str(caught.value)


def test_a_waiver_lets_a_failure_pass_says_so_and_ends_with_its_window() -> None:
    found = decided(waivers=(waiver(),))
    failed = next(one for one in found.findings if one.rule == "T-1")
    assert (found.word, failed.outcome, failed.waived_by, failed.blocks) == ("allow", "fail", "WV-1", False)
    assert found.summary.endswith("1 waived")
    assert found.valid_until == (NOW + DAY).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    "change",
    [
        {"approved_by": ""},
        {"pack": "ksa-pdpl"},
        {"pack_version": 2},
        {"rule": "T-2"},
        {"version": "version:credit-scoring/15"},
        {"environment": "prod-uae"},
        {"subjects": ["dataset:loans"]},
        {"starts_at": NOW + timedelta(seconds=1)},
        {"ends_at": NOW},
    ],
)
def test_a_waiver_that_is_not_exactly_for_this_waives_nothing(change: dict[str, Any]) -> None:
    assert decided(waivers=(waiver(**change),)).word == "deny"


def test_a_waiver_never_reaches_a_rule_that_does_not_say_so_the_law_or_the_engine() -> None:
    strict = compile_pack(pack(NEEDS.replace("waivable: true", "waivable: false")))
    assert evaluate([strict], facts(waivers=[waiver()])).word == "deny"
    law = waiver(pack="ksa-pdpl", rule="SA-RES-001", subjects=["dataset:loans"])
    assert evaluate(shipped("ksa-pdpl"), facts(ABROAD, waivers=[law])).word == "deny"
    nobody = waiver(pack="engine", rule="ENGINE-COVERAGE", subjects=["dataset:loans"])
    denied = evaluate(shipped("ksa-pdpl"), facts(flow(data_subjects=["QA"]), waivers=[nobody]))
    assert denied.word == "deny"


def test_what_could_not_be_decided_is_not_waived() -> None:
    broken = compile_pack(pack(NEEDS.replace("evidence.type ==", "'x'.substring(9) ==")))
    given = facts(evidence=[evidence()], waivers=[waiver()])
    found = evaluate([broken, *shipped("ksa-pdpl")], given)
    assert [(one.rule, one.outcome) for one in found.blocking] == [("T-1", "error")]
    assert found.word == "deny"


def test_two_waivers_or_two_pieces_of_one_name_are_refused() -> None:
    with pytest.raises(MissingFact):
        facts(waivers=[waiver(), waiver(ends_at=NOW + 2 * DAY)])
    with pytest.raises(MissingFact):
        facts(evidence=[evidence(), evidence(type="fairness")])


def test_papers_are_part_of_the_digest_and_come_back_as_they_were() -> None:
    given = facts(evidence=[evidence()], waivers=[waiver()])
    assert thaw(given.document).digest == given.digest
    assert given.digest != facts().digest
    assert "evidence" not in facts().document


@pytest.mark.parametrize("who", ["user:yusuf", "user:noor"])
def test_who_asks_or_trained_cannot_be_who_approved(who: str) -> None:
    given = facts(waivers=[waiver(approved_by=who)], trained_by=["user:noor"])
    assert evaluate([READY, *shipped("ksa-pdpl")], given).word == "deny"


def test_a_moment_of_an_early_year_comes_back_as_it_was() -> None:
    given = facts(evidence=[evidence(issued_at=NOW.replace(year=26))])
    assert thaw(given.document).evidence[0]["issued_at"] == "0026-11-22T09:00:00Z"


@pytest.mark.parametrize("text", ['"\\ud800 is wrong"', '"\\0 is wrong"'])
def test_text_that_nothing_can_store_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(PackError) as caught:
        compile_pack(pack(f"message: {text}"))
    assert "line" in str(caught.value)
    assert "a character that is none" in str(caught.value)
