"""A pack's own cases: read strictly, run as they are written, and a mistake of the pack when they do not hold."""

from __future__ import annotations

import pytest

from governance.policies import PackError, compile_pack, lint_pack, shipped_packs, try_cases
from governance.policies.cases import Tried
from governance.policies.given import _FOLLOWS, _STRUCT, BASE, EACH, LIMIT_CASES
from governance.policies.vocabulary import STRUCTS
from tests.governance.policies.cases import pack, without_cases

RULE = 'when: "flow.personal"\nrequire: {in_region: "flow.region in params.allowed", placed: "flow.country != \'\'"}'
PARAMS = '{allowed: ["azure:uaenorth"]}'
ABROAD = '{flows: [{region: "aws:eu-central-1", country: DE}]}'


def written(*cases: str, rule: str = RULE) -> str:
    """A pack of one rule with ``cases``, each the inside of a flow mapping without its name."""
    lines = [f"  - {{name: Case {number}, {case}}}\n" for number, case in enumerate(cases, start=1)]
    return pack(rule, params=PARAMS, more="cases:\n" + "".join(lines))


def tried(*cases: str) -> tuple[Tried, ...]:
    return try_cases(compile_pack(written(*cases)))


def refused(text: str) -> str:
    with pytest.raises(PackError) as caught:
        lint_pack(text)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_every_shipped_pack_has_cases_that_hold_and_that_pass_fail_and_know_nothing(name: str) -> None:
    text = shipped_packs()[name]
    found = try_cases(compile_pack(text))
    assert all(each.holds for each in found)
    compiled = compile_pack(text)
    rules = compiled.rules if compiled.pack.enabled else compiled.disabled
    ids = {one.rule.id for one in (*rules, *compiled.signoffs)}
    outcomes = {(one.wanted.rule, one.outcome) for each in found for one in each.found}
    assert {rule for rule, outcome in outcomes if outcome == "fail"} == ids
    assert any(outcome in ("pass", "allow") for _, outcome in outcomes)
    unknown = ("nowhere", "unknown", "trained_by: []", "flows: []", 'digest: ""')
    assert any(word in text.partition("\ncases:\n")[2] for word in unknown)


def test_the_base_case_says_every_word_of_the_vocabulary() -> None:
    for section, values in {**BASE, **EACH}.items():
        assert set(values) == {word.name for word in STRUCTS[_STRUCT[section]]} - set(_FOLLOWS.get(section, ())), (
            section
        )


def test_what_is_not_said_is_as_in_the_base_case() -> None:
    (case,) = tried("expect: allow")
    assert case.holds
    document = case.case.facts.document
    assert document["environment"] == {"slug": "prod-uae", "tier": "prod", "perimeter": "AE-federal"}
    assert [flow["subject"] for flow in document["flows"]] == ["dataset:loans"]
    assert (document["safeguards"], document["now"]) == ([], "2026-11-22T09:00:00Z")


@pytest.mark.parametrize(
    ("expect", "holds"),
    [
        ("deny", True),
        ("allow", False),
        ("error", False),
        ("{T-1: fail}", True),
        ("{T-1: pass}", False),
        ("{T-1: {outcome: fail, failed: [in_region]}}", True),
        ("{T-1: {outcome: fail, failed: [placed]}}", False),
        ("{T-1: {outcome: fail, failed: [in_region, placed]}}", False),
        ("{T-1: {outcome: fail, failed: []}}", False),
    ],
)
def test_exactly_what_is_expected_has_to_come_out(expect: str, holds: bool) -> None:
    (case,) = tried(f"given: {ABROAD}, expect: {expect}")
    assert case.holds is holds


def test_the_worst_of_several_flows_tells_with_all_that_failed_there() -> None:
    flows = (
        '[{}, {subject: "dataset:b", region: "aws:eu-central-1", country: DE}, {subject: "dataset:c", region: nowhere}]'
    )
    (case,) = tried(f"given: {{flows: {flows}}}, expect: {{T-1: {{outcome: fail, failed: [in_region, placed]}}}}")
    assert case.holds


def test_a_rule_that_speaks_of_nothing_here_is_not_applicable_and_no_pass() -> None:
    given = "given: {flows: [{classification: none, data_subjects: []}]}"
    (right, wrong) = tried(f"{given}, expect: {{T-1: not_applicable}}", f"{given}, expect: {{T-1: pass}}")
    assert (right.holds, wrong.holds) == (True, False)
    (word,) = tried(f"{given}, expect: error")
    assert word.holds, "no rule had anything to say, which allows nothing"


def test_a_safeguard_and_the_clock_are_facts_of_a_case() -> None:
    rule = (
        'require: {in_region: "flow.region in params.allowed"}\nunless_any: safeguard\n'
        'unless: {covers: "flow.region in safeguard.regions && safeguard.expires_at > now"}'
    )
    case = """  - name: "{now}"
    given:
      now: {now}
      safeguards: [{{}}]
      flows: [{{region: "aws:eu-central-1", country: DE}}]
    expect: {{T-1: {{outcome: {outcome}, failed: [in_region]}}}}
"""
    ends = (("2026-12-22T08:59:59Z", "pass"), ("2026-12-22T09:00:00Z", "fail"))
    lines = "".join(case.format(now=now, outcome=outcome) for now, outcome in ends)
    found = try_cases(compile_pack(pack(rule, params=PARAMS, more=f"cases:\n{lines}")))
    assert [(each.case.name, each.holds) for each in found] == [(now, True) for now, _ in ends]


def test_evidence_is_a_fact_of_a_case_and_is_about_its_version_unless_it_says_otherwise() -> None:
    rule = (
        "- for_each\n- concern\n- require\nneeds_any: evidence\n"
        'needs: {kind: "evidence.type == \'fairness\'", same_files: "evidence.artifact_digest == version.digest"}'
    )
    cases = (
        ("evidence: [{type: fairness}]", "pass"),
        ("evidence: [{}]", "{outcome: fail, failed: [evidence]}"),
        (f'evidence: [{{type: fairness, artifact_digest: "sha256:{"b" * 64}"}}]', "fail"),
        ("evidence: []", "fail"),
        (f'version: {{digest: "sha256:{"b" * 64}"}}, evidence: [{{type: fairness}}]', "pass"),
    )
    text = written(*(f"given: {{{given}}}, expect: {{T-1: {outcome}}}" for given, outcome in cases), rule=rule)
    assert [each.holds for each in try_cases(compile_pack(text))] == [True] * len(cases)
    assert "'aktive' is not known here; known are active, withdrawn." in refused(
        written("given: {evidence: [{status: aktive}]}, expect: {T-1: fail}", rule=rule)
    )


def test_a_case_that_does_not_hold_is_a_mistake_with_its_line_and_what_came_out() -> None:
    text = written("expect: allow", f"given: {ABROAD}, expect: {{T-1: pass}}")
    line = next(number for number, each in enumerate(text.splitlines(), start=1) if "Case 2" in each)
    said = refused(text)
    assert f"line {line}, column" in said
    assert "The case 'Case 2' expects pass; fail (in_region) came out: dataset:loans is wrong." in said
    assert "Case 1" not in said


def test_a_change_of_a_rule_that_breaks_a_case_is_refused() -> None:
    text = shipped_packs()["uae-pdpl"]
    assert "came out" in refused(text.replace('"azure:uaenorth", ', "", 1))
    lint_pack(without_cases(text).replace('"azure:uaenorth", ', ""))


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ("given: {flows: [{regoin: x}]}, expect: allow", "The key 'regoin' is not known here; known are kind, subject"),
        ("given: {enviroment: {}}, expect: allow", "The key 'enviroment' is not known here; known are model, version"),
        ("given: {incidents: []}, expect: allow", "The key 'incidents' is not known here"),
        ("given: {flows: [{personal: false}]}, expect: allow", "personal follows from classification: write that."),
        ("given: {flows: [{classification: privat}]}, expect: allow", "'privat' is not known here; known are none,"),
        ("given: {flows: [{kind: dataste}]}, expect: allow", "'dataste' is not known here"),
        ("given: {flows: [{perimeter: UAE}]}, expect: allow", "'UAE' is not known here; known are AE-federal"),
        ("given: {model: {risk: hihg}}, expect: allow", "'hihg' is not known here; known are high"),
        ("given: {environment: {tier: production}}, expect: allow", "'production' is not known here"),
        ("given: {promotion: {action: promoted}}, expect: allow", "'promoted' is not known here"),
        ("given: {safeguards: [{status: aktive}]}, expect: allow", "'aktive' is not known here"),
        ('given: {flows: [{region: "aws:eu-central-1"}]}, expect: deny', "is in a country: say in which"),
        ("given: {flows: [{region: nowhere, country: DE}]}, expect: deny", "What is nowhere is in no country"),
        ("given: {flows: [{claimed_region: x, region: y, country: DE}]}, expect: deny", "What is claimed differs"),
        ("given: {flows: {}}, expect: allow", "A list is expected here."),
        ("given: {flows: [{country: no}]}, expect: allow", "Text is expected here"),
        ('given: {version: {subject: ""}}, expect: allow', "The text is empty."),
        ("given: {version: {trained_by: yusuf}}, expect: allow", "A list is expected here."),
        ("given: {promotion: {weight: -1}}, expect: allow", "A whole number from 0"),
        ("given: {now: 2026-11-22}, expect: allow", "A time in UTC such as 2026-11-22T09:00:00Z is expected here."),
        ('given: {safeguards: [{expires_at: "tomorrow"}]}, expect: allow', "A time in UTC such as"),
        ("given: {signoffs: [{by: user:a}]}, expect: allow", "The key 'role' is missing."),
        ("given: {signoffs: [{by: user:a, role: boss}]}, expect: allow", "'boss' is not known here"),
        ("expect: allowed", "'allowed' is not known here; known are allow, deny, error."),
        ("expect: {}", "Name at least one rule with its outcome."),
        ("expect: [T-1]", "Text is expected here"),
        ("expect: {T-2: pass}", "The rule T-2 is not known here; known are T-1."),
        ("expect: {T-1: passed}", "'passed' is not known here; known are pass, fail, error, not_applicable."),
        ("expect: {T-1: {failed: [in_region]}}", "The key 'outcome' is missing."),
        ("expect: {T-1: {outcome: fail, failed: [in_regoin]}}", "'in_regoin' is not known here; known are in_region"),
        ("given: {}", "The key 'expect' is missing."),
    ],
)
def test_what_is_written_wrongly_is_refused_with_its_place(case: str, sentence: str) -> None:
    said = refused(written(case))
    assert sentence in said
    assert "line 20, column" in said or "line 21, column" in said, said


def test_two_different_facts_of_one_identity_are_refused_as_at_a_gate() -> None:
    flows = "[{classification: none}, {classification: personal}]"
    assert "Two different facts claim to be dataset" in refused(written(f"given: {{flows: {flows}}}, expect: allow"))


def test_a_name_twice_no_case_at_all_and_too_many_are_refused() -> None:
    doubled = written("expect: allow", "expect: allow").replace("Case 2", "Case 1")
    assert "The name 'Case 1' is used twice." in refused(doubled)
    assert "The list cases is empty" in refused(pack(RULE, params=PARAMS, more="cases: []\n"))
    assert f"A pack may have {LIMIT_CASES} cases" in refused(written(*["expect: allow"] * (LIMIT_CASES + 1)))
    assert "A list is expected here." in refused(pack(RULE, params=PARAMS, more="cases: {}\n"))


def test_a_rule_that_is_not_enabled_can_not_be_expected_to_do_anything() -> None:
    text = without_cases(shipped_packs()["adgm-dpr"]) + "cases:\n  - {name: x, expect: {ADGM-RES-002: pass}}\n"
    assert "The rule ADGM-RES-002 is not enabled, so nothing comes out of it." in refused(text)


def test_a_pack_of_signatures_alone_has_no_word_of_its_own() -> None:
    text = without_cases(shipped_packs()["two-person-production"]) + "cases:\n  - {name: x, expect: allow}\n"
    assert "This pack has sign-off rules only" in refused(text)


def test_before_its_first_day_no_rule_of_a_pack_applies() -> None:
    now = "given: {now: 2025-12-31T23:59:59Z}"
    assert all(each.holds for each in tried(f"{now}, expect: {{T-1: not_applicable}}", f"{now}, expect: deny"))
    text = without_cases(shipped_packs()["two-person-production"])
    text += f"cases:\n  - {{name: x, {now}, expect: {{PROD-TWO-PEOPLE: not_applicable}}}}\n"
    lint_pack(text)


def test_cases_decide_nothing_so_a_stored_pack_compiles_whatever_stands_in_them() -> None:
    text = written("given: {flows: [{regoin: x}]}, expect: allow")
    assert compile_pack(text).rules
    assert "regoin" in refused(text)
