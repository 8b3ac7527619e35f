"""Deciding: packs are a conjunction, errors block, nothing is allowed by absence, and a denial says how to pass."""

from __future__ import annotations

from importlib import metadata

import pytest

from governance.policies import Decision, Facts, compile_pack, evaluate, shipped_packs, thaw
from governance.policies.facts import FLOW_KINDS
from governance.policies.results import Finding
from tests.governance.policies.cases import DAY, NOW, VERSION, facts, flow, pack, safeguard, shipped

FRANKFURT = {"region": "aws:eu-central-1", "country": "DE"}


def decide(given: Facts, *names: str) -> Decision:
    return evaluate(shipped(*(names or ("ksa-pdpl",))), given)


def first(decision: Decision) -> Finding:
    return decision.findings[0]


def test_saudi_data_in_the_kingdom_pass() -> None:
    decision = decide(facts(flow(), flow(kind="serving", subject="environment:prod-ksa")))
    assert decision.word == "allow"
    assert decision.allows
    assert {one.outcome for one in decision.findings} == {"pass"}


@pytest.mark.parametrize("kind", sorted(FLOW_KINDS))
def test_saudi_data_outside_are_denied_whatever_the_flow(kind: str) -> None:
    decision = decide(facts(flow(), flow(kind=kind, subject="x:elsewhere", **FRANKFURT)))
    assert decision.word == "deny"
    assert first(decision).rule == "SA-RES-001"
    assert first(decision).failed == ("in_region",)


def test_a_denial_names_clause_path_closest_safeguards_and_how_to_pass() -> None:
    given = facts(
        flow(**FRANKFURT),
        safeguards=[
            safeguard(id="TS-1", expires_at=NOW - DAY),
            safeguard(id="TS-2", type="HANDSHAKE", subjects=["dataset:other"]),
            safeguard(id="TS-3", status="revoked", risk_assessment_at=None, regions=[]),
            safeguard(id="TS-4", status="revoked", risk_assessment_at=None, regions=[], subjects=[]),
        ],
    )
    found = first(decide(given))
    assert found.cites == ("PDPL Art. 29(2)", "TR Art. 4(1)", "TR Art. 6(2)")
    assert found.path == (VERSION, "run:7", "dataset:loans")
    assert [(near.id, near.failed) for near in found.closest] == [
        ("TS-1", ("not_expired",)),
        ("TS-2", ("type_allowed", "covers_subject")),
        ("TS-3", ("active", "covers_region", "risk_assessed")),
    ]
    assert found.message == (
        "dataset:loans (dataset) is in aws:eu-central-1, outside the Kingdom, with no valid safeguard"
    )
    assert "dataset:loans" in found.remedy
    assert (found.who, found.where) == (("dpo", "ml_lead"), "/transfers")


def test_a_valid_safeguard_makes_the_transfer_lawful_until_it_ends() -> None:
    given = facts(flow(**FRANKFURT), safeguards=[safeguard(), safeguard(id="TS-9", expires_at=NOW + 90 * DAY)])
    decision = decide(given)
    assert decision.word == "allow"
    assert first(decision).waived_by == "TS-9"
    assert decision.valid_until == "2027-02-20T09:00:00Z"


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": NOW},
        {"expires_at": None},
        {"status": "proposed"},
        {"type": "OTHER"},
        {"subjects": ["dataset:other"]},
        {"regions": ["aws:eu-west-1"]},
        {"risk_assessment_at": None},
        {"risk_assessment_at": NOW + DAY},
    ],
)
def test_a_safeguard_that_lacks_one_thing_does_not_help(change: dict[str, object]) -> None:
    assert decide(facts(flow(**FRANKFURT), safeguards=[safeguard(**change)])).word == "deny"


def test_a_certificate_does_not_cover_sensitive_data() -> None:
    certificate = safeguard(type="ACCREDITATION_CERT")
    assert decide(facts(flow(**FRANKFURT), safeguards=[certificate])).word == "allow"
    for word in ("sensitive", "special", "unknown"):
        given = facts(flow(classification=word, **FRANKFURT), safeguards=[certificate])
        assert decide(given).word == "deny"


def test_two_halves_of_two_safeguards_are_no_safeguard() -> None:
    halves = [safeguard(id="A", regions=[]), safeguard(id="B", subjects=[])]
    assert decide(facts(flow(**FRANKFURT), safeguards=halves)).word == "deny"


def test_no_safeguard_covers_nowhere_unless_someone_says_so_and_the_message_says_what_was_claimed() -> None:
    found = first(decide(facts(flow(confirmed=False)), "ksa-pdpl"))
    assert "gcp:me-central2 (not confirmed)" in found.message
    assert "an unknown region" in first(decide(facts(flow(region="")), "ksa-pdpl")).message


def test_no_packs_is_an_error_and_never_an_allow() -> None:
    decision = evaluate([], facts())
    assert decision.word == "error"
    assert "ENGINE-NO-RULES" in {one.rule for one in decision.findings}


def test_rules_that_apply_to_nothing_do_not_allow() -> None:
    not_personal = facts(flow(classification="none", data_subjects=[]))
    decision = decide(not_personal)
    assert decision.word == "error"
    assert {one.outcome for one in decision.findings} == {"not_applicable", "error"}
    assert decide(not_personal, "ksa-pdpl", "registry-hygiene").word == "allow"


def test_personal_data_of_people_whom_no_rule_protects_are_denied() -> None:
    given = facts(flow(data_subjects=["SA", "QA"]))
    decision = decide(given, "ksa-pdpl", "registry-hygiene")
    assert decision.word == "deny"
    assert [one.rule for one in decision.blocking] == ["ENGINE-COVERAGE"]
    assert first(decision).failed == ("covered:QA",)


def test_a_rule_of_another_jurisdiction_does_not_speak_for_them() -> None:
    given = facts(flow(data_subjects=["AE"], region="azure:uaenorth"))
    assert decide(given, "ksa-pdpl", "registry-hygiene").word == "deny"
    assert decide(given, "ksa-pdpl", "uae-pdpl", "registry-hygiene").word == "allow"


def test_unknown_people_are_denied_even_by_a_pack_about_everybody() -> None:
    everybody = compile_pack(pack(""))
    assert evaluate([everybody], facts(flow(data_subjects=["QA"]))).word == "allow"
    decision = evaluate([everybody], facts(flow(data_subjects=[])))
    assert decision.word == "deny"
    assert first(decision).rule == "ENGINE-COVERAGE"


def test_a_warning_covers_nobody() -> None:
    warns = compile_pack(pack("severity: warn"))
    decision = evaluate([*shipped("registry-hygiene"), warns], facts())
    assert [one.rule for one in decision.blocking] == ["ENGINE-COVERAGE"]


def test_a_failing_warning_is_shown_and_does_not_deny() -> None:
    warns = compile_pack(pack('severity: warn\nrequire: {ok: "false"}'))
    decision = evaluate([*shipped("ksa-pdpl"), warns], facts())
    assert decision.word == "allow"
    assert [one.outcome for one in decision.findings if one.rule == "T-1"] == ["fail"]
    assert "1 warnings" in decision.summary


def test_no_pack_overrides_another() -> None:
    lenient = compile_pack(pack("id: LENIENT"))
    assert evaluate([lenient, *shipped("ksa-pdpl")], facts(flow(**FRANKFURT))).word == "deny"
    assert evaluate([*shipped("ksa-pdpl"), lenient], facts(flow(**FRANKFURT))).word == "deny"


@pytest.mark.parametrize(
    "rule",
    [
        "require: {ok: \"flow.data_subjects[7] == 'SA'\"}",
        'when: "1 / (flow.personal ? 0 : 1) > 0"',
        'require: {ok: "false"}\nunless_any: safeguard\nunless: {ok: "safeguard.subjects[7] == \'x\'"}',
        "require: {ok: \"params.big.all(a, params.big.all(b, params.big.all(c, params.big.all(d, a != ''))))\"}",
    ],
)
def test_what_cannot_be_evaluated_blocks(rule: str) -> None:
    many = "{big: [" + ", ".join(f"v{number}" for number in range(60)) + "]}"
    decision = evaluate([compile_pack(pack(rule, params=many))], facts(safeguards=[safeguard()]))
    assert decision.word == "deny"
    assert first(decision).outcome == "error"
    assert first(decision).failed


def test_a_pack_that_is_not_in_force_yet_does_not_allow() -> None:
    later = compile_pack(shipped_packs()["ksa-pdpl"].replace("2024-09-01", "2027-01-01"))
    assert evaluate([later], facts()).word == "deny"


def test_hygiene_denies_what_nobody_described() -> None:
    unknown = flow(classification="unknown", region="", data_subjects=[])
    decision = decide(facts(unknown, digest="", trained_by=[]), "registry-hygiene")
    assert {one.rule for one in decision.blocking} == {
        "REG-001",
        "REG-002",
        "REG-003",
        "REG-004",
        "ENGINE-COVERAGE",
    }


def test_a_decision_names_engine_packs_and_facts_and_is_the_same_again_from_what_was_stored() -> None:
    given = facts(flow(**FRANKFURT), safeguards=[safeguard()])
    names = ("ksa-pdpl", "registry-hygiene", "uae-pdpl", "two-person-production")
    decision = decide(given, *names)
    again = evaluate(list(reversed(shipped(*names))), thaw(dict(given.document)))
    assert decision.as_json() == again.as_json()
    assert decision.engine == {"name": "cel-expr-python", "version": metadata.version("cel-expr-python")}
    assert [(one.pack, one.version) for one in decision.policy] == [(name, 1) for name in sorted(names)]
    assert decision.facts_digest == given.digest


def test_what_a_message_says_is_never_interpreted() -> None:
    given = facts(flow(subject="dataset:{region}{now}", **FRANKFURT))
    assert first(decide(given)).message.startswith("dataset:{region}{now} (dataset)")


def test_three_hundred_data_sets_do_not_exhaust_the_engine() -> None:
    flows = [flow(subject=f"dataset:d{number}", **FRANKFURT) for number in range(300)]
    guards = [safeguard(id=f"TS-{number}", subjects=[f"dataset:d{number}"]) for number in range(3)]
    decision = decide(facts(*flows, safeguards=guards))
    assert decision.word == "deny"
    assert len(decision.blocking) == 297
