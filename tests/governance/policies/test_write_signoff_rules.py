"""What a sign-off rule may say of order, veto, delegation and factors; every mistake is refused with a sentence."""

from __future__ import annotations

import hashlib

import pytest

from governance.policies import Inputs, PackError, SignOffEvent, compile_pack, lint_pack, read_inputs, shipped_packs
from tests.governance.policies.cases import NOW
from tests.governance.policies.test_count_signoffs import PEOPLE

RULE = """
pack: two
version: 1
title: Two
status: draft
effective_from: 2026-01-01
signoff:
  - id: TWO
    title: Two people
    applies_when: "true"
    require: [{role: ml_lead, n: 1}, {role: compliance_officer, n: 1}]
    distinct_people: true
    exclude: [requester, contributors]
    reauth: {max_age_s: 300}
    valid_for: P14D
"""


def rule(line: str) -> str:
    return f"{RULE}    {line}\n"


def test_what_a_rule_leaves_out_means_what_it_always_meant() -> None:
    found = compile_pack(RULE).signoffs[0].rule
    assert (found.order, found.veto, found.delegation, found.factors) == ((), None, None, 1)
    said = "order: any\n    veto: any\n    delegation: {allowed: false}"
    same = compile_pack(rule(said)).signoffs[0].rule
    assert (same.order, same.veto, same.delegation) == ((), None, None)
    text = shipped_packs()["two-person-production"]
    assert compile_pack(text).digest == "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_the_rule_of_the_design_reads() -> None:
    line = (
        "order: [ml_lead, compliance_officer]\n    veto: [compliance_officer]\n"
        "    delegation: {allowed: true, max: P30D, depth: 1, not_to: [requester, contributors]}"
    )
    found = compile_pack(rule(line).replace("max_age_s: 300", "max_age_s: 300, factors: 2")).signoffs[0].rule
    assert found.order == ("ml_lead", "compliance_officer")
    assert found.veto == ("compliance_officer",)
    assert found.delegation is not None
    assert (found.delegation.longest.days, found.factors) == (30, 2)
    assert compile_pack(rule("veto: none")).signoffs[0].rule.veto == ()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("order: [ml_lead]", "An order needs two roles at least"),
        ("order: [ml_lead, dpo]", "'dpo' is not asked for by this rule"),
        ("order: [ml_lead, ml_lead]", "in this list twice"),
        ("order: first", "known are any"),
        ("order: {ml_lead: 1}", "A list is expected here"),
        ("veto: nobody", "known are any, none"),
        ("veto: []", "The list is empty"),
        ("veto: [auditor]", "'auditor' is not asked for by this rule"),
        ("delegation: {allowed: true}", "Say how long a delegation may last"),
        ("delegation: {allowed: true, max: P400D}", "A duration such as P14D"),
        ("delegation: {allowed: true, max: P1D, depth: 2}", "A whole number from 1 to 1"),
        ("delegation: {allowed: true, max: P1D, not_to: [requester]}", "not_to names both"),
        ("delegation: {allowed: false, max: P1D}", "Nobody may delegate here"),
        ("delegation: yes", "A mapping (key: value) is expected here"),
        ("delegation: {allowed: true, max: P1D, to: [dpo]}", "The key 'to' is not known here"),
    ],
)
def test_what_is_no_rule_is_refused_with_a_sentence(line: str, sentence: str) -> None:
    with pytest.raises(PackError) as error:
        compile_pack(rule(line))
    assert any(sentence in problem.message for problem in error.value.problems), error.value.problems


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[requester, contributors]", "[requester, direct_reports_of_requester]", "Nobody records who reports to whom"),
        ("[requester, contributors]", "[contributors]", "exclude must name requester"),
        ("max_age_s: 300", "max_age_s: 300, factors: 3", "A whole number from 1 to 2"),
        ("n: 1}, {", "n: 7}, {", "may ask for 6 people; this one asks for 8"),
    ],
)
def test_what_nobody_can_check_is_refused(old: str, new: str, sentence: str) -> None:
    with pytest.raises(PackError) as error:
        compile_pack(rule("delegation: {allowed: true, max: P1D}").replace(old, new))
    assert any(sentence in problem.message for problem in error.value.problems), error.value.problems


CASES = """
cases:
  - name: In turn, and one by a delegate
    given:
      signoffs: [{by: "user:lead", role: ml_lead}, {by: "user:deputy", role: compliance_officer, for: "user:officer"}]
    expect:
      TWO: pass
  - name: Out of turn
    given:
      signoffs: [{by: "user:officer", role: compliance_officer}, {by: "user:lead", role: ml_lead}]
    expect:
      TWO: {outcome: fail, failed: [compliance_officer]}
  - name: Who delegated does not sign another place
    given:
      signoffs: [{by: "user:lead", role: ml_lead}, {by: "user:deputy", role: compliance_officer, for: "user:lead"}]
    expect:
      TWO: fail
  - name: The requester's deputy
    given:
      signoffs: [{by: "user:lead", role: ml_lead, for: "user:requester"}]
    expect:
      TWO: fail
"""


def test_a_pack_tries_its_order_and_its_delegates_in_its_own_cases() -> None:
    line = "order: [ml_lead, compliance_officer]\n    delegation: {allowed: true, max: P1D}"
    lint_pack(rule(line) + CASES)
    with pytest.raises(PackError):
        lint_pack(rule("delegation: {allowed: true, max: P1D}") + CASES)


def test_a_delegated_signature_is_stored_and_read_back_and_older_inputs_stay_as_they_were() -> None:
    plain = SignOffEvent("1", "approved", "user:a", "ml_lead", "sha256:5", NOW, NOW)
    lent = SignOffEvent("2", "approved", "user:b", "dpo", "sha256:5", NOW, NOW, factors=2, delegation="DG-1")
    made = SignOffEvent("DG-1", "delegated", "user:c", "dpo", "", NOW, to="user:b", starts_at=NOW, ends_at=NOW)
    inputs = Inputs((plain, lent, made), PEOPLE, "sha256:5")
    document = inputs.as_json()
    assert set(read_inputs(document).events) == {plain, lent, made}
    assert set(next(each for each in document["events"] if each["id"] == "1")) == {
        *("id", "kind", "by", "role", "subject_digest", "at", "reauth_at", "undoes")
    }
