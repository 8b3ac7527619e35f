"""Writing a pack: every mistake is refused at upload, with its rule, line and column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from governance.policies import PackError, compile_pack, shipped_packs
from governance.policies.vocabulary import STRUCTS
from governance.policies.written import LIMIT_CHARACTERS, Problem
from tests.governance.policies.cases import pack


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(PackError) as caught:
        compile_pack(text)
    return caught.value.problems


@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_every_shipped_pack_compiles_and_claims_no_lawyer(name: str) -> None:
    compiled = compile_pack(shipped_packs()[name])
    assert compiled.id == name
    assert compiled.status == "draft"


def test_the_saudi_rule_carries_its_citations_and_sources() -> None:
    compiled = compile_pack(shipped_packs()["ksa-pdpl"])
    rule = compiled.rules[0].rule
    assert (rule.id, rule.severity, rule.concern, rule.scope) == ("SA-RES-001", "block", "residency", "flow")
    assert rule.cites == ("PDPL Art. 29(2)", "TR Art. 4(1)", "TR Art. 6(2)")
    assert compiled.sources
    assert compiled.pack.verified_on is not None
    assert compiled.digest.startswith("sha256:")


def test_the_digest_is_of_the_text_and_any_change_is_another_pack() -> None:
    text = shipped_packs()["ksa-pdpl"]
    assert compile_pack(text) is compile_pack(text)
    assert compile_pack(text).digest != compile_pack(text + "# a comment\n").digest


def test_a_misspelt_fact_is_refused_with_its_place() -> None:
    text = pack("require: {in_region: \"flow.regoin == 'x'\"}")
    (found,) = problems(text)
    line = text.splitlines()[found.line - 1]
    assert found.rule == "T-1"
    assert line[found.column - 1 :].startswith(".regoin")
    assert "undefined field 'regoin'" in found.message


def test_a_misspelt_parameter_is_refused() -> None:
    (found,) = problems(pack('require: {ok: "params.alowed.size() > 0"}', params="{allowed: [a]}"))
    assert "undefined field 'alowed'" in found.message


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("flow.personal == 'yes'", "no matching overload"),
        ("flow.region", "must be true or false, not STRING"),
        ("dyn(true)", "must be true or false, not DYN"),
        ("1 +", "Syntax error"),
        ("safeguard.status == 'active'", "undeclared reference to 'safeguard.status'"),
        ("now > '2026-01-01'", "no matching overload"),
        ("flow.path.size() > 0", "undefined field 'path'"),
    ],
)
def test_an_expression_of_the_wrong_type_is_refused(expression: str, part: str) -> None:
    (found,) = problems(pack(f'require: {{ok: "{expression}"}}'))
    assert part in found.message


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    found = problems(pack("severity: fatal\nwho: [king]\nmesage: x\nrequire: {ok: 3}"))
    assert len(found) == 4
    assert [one.line for one in found] == sorted(one.line for one in found)


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ("- severity", "'severity' is missing"),
        ("colour: red", "'colour' is not known"),
        ("id: 7", "Text is expected"),
        ("title: yes", "Text is expected"),
        ("cites: Art. 1", "A list is expected"),
        ("require: {}", "At least one named condition"),
        ('require: {Ok: "true"}', "small letters"),
        ('unless: {ok: "true"}', "belong together"),
        ("unless_any: waiver\n" + 'unless: {ok: "true"}', "'waiver' is not known"),
        ("for_each: planet", "'planet' is not known"),
        ("for_each: version", "A residency rule runs over flows"),
        ("message: '{subject.__class__}'", "The message names"),
        ("message: '{path} {nothing}'", "The message names {nothing}"),
        ("where: https://elsewhere.example", "A path of this site"),
        ("who: [dpo, dpo]", "twice"),
        ("require: {ok: *anchor}", "Aliases are not allowed"),
    ],
)
def test_a_mistake_in_a_rule_is_refused(rule: str, part: str) -> None:
    assert any(part in one.message for one in problems(pack(rule)))


def test_a_doubled_key_and_a_doubled_id_are_refused() -> None:
    assert any("here twice" in one.message for one in problems(pack("").replace("    who:", "    id: T-2\n    who:")))
    doubled = pack("") + pack("").split("rules:\n")[1]
    assert any("used twice" in one.message for one in problems(doubled))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "- a",
        "pack: [",
        "\x00",
        "a: 1\n---\nb: 2",
        "[" * LIMIT_CHARACTERS,
        "x" * (LIMIT_CHARACTERS + 1),
        "pack: {? [a] : b}",
    ],
)
def test_what_is_no_pack_at_all_is_refused_with_a_place(text: str) -> None:
    found = problems(text)
    assert found
    assert all(one.line >= 1 and one.column >= 1 for one in found)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("n: 1", "n: 0", "whole number from 1"),
        ("n: 1", "n: true", "whole number from 1"),
        ("valid_for: P14D", "valid_for: P0D", "duration"),
        ("valid_for: P14D", "valid_for: 14 days", "duration"),
        ("valid_for: P14D", "valid_for: P999D", "duration"),
        ("distinct_people: true", "distinct_people: false", "only true"),
        ("exclude: [requester, contributors]", "exclude: [contributors]", "must name requester"),
        ("exclude: [requester, contributors]", "exclude: [requester, friends]", "'friends' is not known"),
        ("role: ml_lead", "role: risk_owner", "'risk_owner' is not known"),
        ("on_timeout: expire", "on_timeout: approve", "'approve' is not known"),
        ("min_people: 2", "min_people: 3", "whole number from 0 to 2"),
        ("max_age_s: 300", "max_age_s: 1e9", "whole number from 1"),
        ("environment.tier in", "environment.teir in", "undefined field 'teir'"),
        ("status: draft", "status: legal-reviewed", "who verified it"),
        ("status: draft", "status: approved", "'approved' is not known"),
        ("effective_from: 2026-01-01", "effective_from: soon", "A date"),
    ],
)
def test_a_mistake_in_a_sign_off_rule_is_refused(old: str, new: str, part: str) -> None:
    text = shipped_packs()["two-person-production"]
    assert old in text
    assert any(part in one.message for one in problems(text.replace(old, new, 1)))


PAGE = (Path(__file__).parents[3] / "docs" / "policies.md").read_text(encoding="utf-8")


def test_the_pack_in_the_documentation_compiles() -> None:
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    assert compile_pack(found[1]).rules


def test_the_documentation_names_every_fact_that_a_rule_can_read() -> None:
    for words in STRUCTS.values():
        for word in words:
            assert word.shown_only or f"`{word.name}`" in PAGE, word.name
