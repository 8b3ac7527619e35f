"""Lint: where a pack applies, what allows by absence, and what nobody has verified, are told before a pack is used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from governance.policies import PackError, compile_pack, evaluate, lint_pack, shipped_packs, signoff_state, thaw
from governance.policies.facts import digest_of
from governance.policies.schema import PERIMETERS, TIERS
from registry.models.environments import Perimeter, Tier
from tests.governance.policies.cases import facts, flow, pack, shipped
from tests.governance.policies.test_count_signoffs import BOTH, PEOPLE, SUBJECT

IN_REGION = 'require: {in_region: "flow.region in params.allowed"}'
ALLOWED = '{allowed: ["gcp:me-central2"]}'


def refused(text: str) -> str:
    with pytest.raises(PackError) as caught:
        lint_pack(text)
    return str(caught.value)


def _pack(rule: str, *, top: str = "") -> str:
    return pack(rule, params=ALLOWED).replace("params:", f"{top}\nparams:" if top else "params:")


@pytest.mark.parametrize("name", sorted(shipped_packs()))
def test_every_shipped_pack_passes_lint(name: str) -> None:
    assert lint_pack(shipped_packs()[name]).id == name


@pytest.mark.parametrize(
    "rule",
    [
        IN_REGION,
        f'when: "flow.personal"\n{IN_REGION}',
        f'when: "flow.sensitive"\n{IN_REGION}',
        f"when: \"flow.personal && flow.kind == 'serving'\"\n{IN_REGION}",
        f"when: \"flow.classification != 'none'\"\n{IN_REGION}",
        "severity: warn\nrequire: {ok: \"flow.country != 'CN'\"}",
        "concern: hygiene\nrequire: {ok: \"flow.country != 'CN'\"}",
    ],
)
def test_a_rule_that_stops_what_is_unknown_passes_lint(rule: str) -> None:
    lint_pack(_pack(rule))


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ('require: {ok: "true"}', "data whose place nobody knows pass"),
        ("require: {ok: \"flow.country != 'CN'\"}", "data whose place nobody knows pass"),
        ("require: {ok: \"flow.region in params.allowed || flow.region == 'nowhere'\"}", "nobody knows pass"),
        (f"when: \"flow.classification == 'personal'\"\n{IN_REGION}", "and the same data unclassified are not"),
        (f"when: \"flow.classification in ['personal', 'special']\"\n{IN_REGION}", "unclassified are not"),
        (
            f"when: \"flow.kind == 'serving' || flow.classification == 'personal'\"\n{IN_REGION}",
            "unclassified are not",
        ),
        (f"when: \"flow.country == 'CN'\"\n{IN_REGION}", "nothing is stopped"),
        (f"when: \"flow.region != 'nowhere'\"\n{IN_REGION}", "nothing is stopped"),
        (f"when: \"'SA' in flow.data_subjects\"\n{IN_REGION}", "nothing is stopped"),
        (f"when: \"environment.slug == 'prod-ksa'\"\n{IN_REGION}", "nothing is stopped"),
    ],
)
def test_a_rule_that_allows_by_absence_is_refused_with_its_line_and_how_to_mend_it(rule: str, part: str) -> None:
    message = refused(_pack(rule))
    assert part in message
    assert "T-1: Allow by absence" in message
    assert message.startswith("line ")


def test_a_pack_about_certain_people_may_speak_of_them_alone() -> None:
    rule = f"when: \"flow.personal && 'SA' in flow.data_subjects\"\n{IN_REGION}"
    lint_pack(_pack(rule, top="jurisdiction: SA"))
    assert "nothing is stopped" in refused(_pack(rule, top="jurisdiction: AE"))


def test_the_place_of_the_mistake_is_that_of_its_condition() -> None:
    text = _pack(f"when: \"flow.classification == 'personal'\"\n{IN_REGION}")
    with pytest.raises(PackError) as caught:
        lint_pack(text)
    (found,) = caught.value.problems
    assert text.splitlines()[found.line - 1][found.column - 1 :].startswith("flow.classification")


# Where a pack applies.


@pytest.mark.parametrize(
    ("applies", "part"),
    [
        ("{}", "Say where the pack applies"),
        ("{tiers: []}", "The list tiers is empty"),
        ("{environments: []}", "The list environments is empty"),
        ("{perimeters: []}", "The list perimeters is empty"),
        ("{tiers: [production]}", "'production' is not known"),
        ("{perimeters: [ADGM]}", "'ADGM' is not known"),
        ("{environments: ['prod *']}", "no name of an environment"),
        ("{regions: [x]}", "'regions' is not known"),
        ("prod", "A mapping"),
        ("{tiers: prod}", "A list is expected"),
    ],
)
def test_where_a_pack_applies_is_checked(applies: str, part: str) -> None:
    assert part in refused(_pack(IN_REGION, top=f"applies: {applies}"))


def test_the_words_for_where_are_those_of_the_registry() -> None:
    assert set(TIERS) == set(Tier.values)
    assert set(PERIMETERS) == set(Perimeter.values)


@pytest.mark.parametrize(
    ("applies", "speaks"),
    [
        ("{tiers: [prod]}", True),
        ("{tiers: [staging, dr]}", False),
        ("{environments: [prod-ksa]}", True),
        ("{environments: [prod-uae]}", False),
        ("{perimeters: [SA, EU]}", True),
        ("{perimeters: [EU]}", False),
        ("{tiers: [prod], perimeters: [EU]}", False),
    ],
)
def test_a_pack_that_does_not_apply_says_so_and_silence_still_denies(applies: str, speaks: bool) -> None:
    text = shipped_packs()["ksa-pdpl"].replace("status: draft", f"applies: {applies}\nstatus: draft", 1)
    decision = evaluate([compile_pack(text), *shipped("registry-hygiene")], facts())
    outcomes = {one.outcome for one in decision.findings if one.pack == "ksa-pdpl"}
    assert outcomes == ({"pass"} if speaks else {"not_applicable"})
    assert decision.word == ("allow" if speaks else "deny")
    if not speaks:
        assert {one.rule for one in decision.blocking} == {"ENGINE-COVERAGE"}


def test_an_environment_whose_law_nobody_knows_is_under_every_pack() -> None:
    document = dict(facts().document)
    document["environment"] = {**document["environment"], "perimeter": "unknown"}
    text = shipped_packs()["ksa-pdpl"].replace("status: draft", "applies: {perimeters: [EU]}\nstatus: draft", 1)
    decision = evaluate([compile_pack(text)], thaw(document))
    assert {one.outcome for one in decision.findings if one.pack} == {"pass"}


def test_sign_off_rules_that_apply_elsewhere_are_no_reason_to_sign_nothing() -> None:
    text = shipped_packs()["two-person-production"].replace("status: draft", "applies: {tiers: [dr]}\nstatus: draft", 1)
    assert signoff_state([compile_pack(text)], facts(), BOTH, PEOPLE, SUBJECT).state == "error"


# Facts that were stored before a word was known.


def test_a_decision_on_facts_of_format_1_is_made_again_byte_for_byte() -> None:
    stored = json.loads((Path(__file__).parent / "stored_format_1.json").read_text(encoding="utf-8"))
    given = thaw(stored["facts"])
    assert given.document["format"] == "countersign-facts/1"
    assert given.digest == stored["facts_digest"]
    decision = evaluate([compile_pack(stored["pack"])], given).as_json()
    del decision["engine"]
    assert digest_of(decision) == stored["decision_digest"]


def test_facts_of_format_1_read_the_new_words_as_unknown() -> None:
    stored = json.loads((Path(__file__).parent / "stored_format_1.json").read_text(encoding="utf-8"))
    asks = compile_pack(pack("require: {law: \"flow.perimeter == 'unknown'\"}"))
    found = evaluate([asks], thaw(stored["facts"])).findings
    assert {one.outcome for one in found if one.pack} == {"pass"}
    assert facts(flow(perimeter="EU")).document["format"] == "countersign-facts/3"


# What nobody has verified.

UNVERIFIED = "enabled: %s\nunverified: the article was not read\n" + IN_REGION.replace("%", "%%")


def test_what_is_switched_off_says_why_and_is_never_evaluated() -> None:
    assert "says what is not verified yet" in refused(_pack("enabled: false\n" + IN_REGION))
    off = lint_pack(_pack(UNVERIFIED % "false"))
    assert (off.rules, [one.rule.id for one in off.disabled]) == ((), ["T-1"])
    assert evaluate([off], facts()).word == "deny"
    assert evaluate([off], facts(flow(classification="none"))).word == "error"


def test_an_unverified_rule_is_refused_in_force_without_a_name_and_a_date() -> None:
    on = UNVERIFIED % "true"
    assert "Nobody has verified this rule (the article was not read)" in refused(_pack(on))
    assert "Nobody has verified" in refused(_pack(on, top="verified_on: 2026-11-22"))
    assert "Nobody has verified" in refused(_pack(on, top="verified_by: Dana Haddad"))
    lint_pack(_pack(on, top="verified_by: Dana Haddad\nverified_on: 2026-11-22"))


def test_a_disabled_rule_must_still_compile() -> None:
    broken = "enabled: false\nunverified: x\nrequire: {ok: \"flow.regoin == ''\"}"
    assert "undefined field 'regoin'" in refused(_pack(broken))
