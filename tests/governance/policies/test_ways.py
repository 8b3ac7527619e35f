"""How to pass: what is offered flips the decision, nothing in it is more than needed, and the rest is named."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from governance.policies import (
    CompiledPack,
    Facts,
    Inputs,
    People,
    Region,
    SignOffEvent,
    compile_pack,
    evaluate,
    freeze,
    shipped_packs,
    thaw,
)
from governance.policies.actions import Action, State
from governance.policies.candidates import Known
from governance.policies.papers import IncidentFact, WaiverFact
from governance.policies.search import DEPTH
from governance.policies.ways import Way, Ways, ways_to_pass
from tests.governance.policies.cases import DAY, NOW, VERSION, facts, flow, pack, safeguard, shipped
from tests.governance.policies.dice import COUNTRY, as_thrown, throw
from tests.governance.policies.oracle import LAWS, expected
from tests.governance.policies.test_papers import READY, evidence

#: Denied cases for each law of the oracle; together a thousand.
DENIED = 84
SUBJECT = "sha256:" + "5" * 64
PLACES = tuple(Region(name, country, True) for name, country in COUNTRY.items() if country and not name.endswith("-"))
KNOWN = Known(places=PLACES)
ABROAD: dict[str, Any] = {"region": "aws:eu-central-1", "country": "DE"}
NOBODY = Inputs((), People({}, "user:yusuf", frozenset()), SUBJECT, needed=False)


def signed(*events: SignOffEvent) -> Inputs:
    roles = {"user:layla": frozenset({"ml_lead"}), "user:omar": frozenset({"compliance_officer"})}
    return Inputs(events, People(roles, "user:yusuf", frozenset()), SUBJECT)


def ways(facts: Facts, *packs: CompiledPack, known: Known = KNOWN, inputs: Inputs = NOBODY) -> Ways:
    return ways_to_pass(packs, facts, inputs, known)


def kinds(found: Ways) -> list[list[str]]:
    return [[each.kind for each in way.actions] for way in found.ways]


def flips(actions: tuple[Action, ...], packs: list[CompiledPack], facts: Facts) -> bool:
    after = Way(actions, {}, smallest=False).applied(State(tuple(packs), facts.document))
    return evaluate(after.packs, thaw(after.document)).word == "allow"


def asked(name: str) -> list[CompiledPack]:
    """The packs as the reference reads them."""
    law = LAWS[name]
    if law.enforced:
        return [compile_pack(shipped_packs()[name].replace("severity: warn", "severity: block"))]
    return shipped(name, *law.beside)


def denied(name: str) -> list[Facts]:
    """Random denied facts about people of this law, who are unknown now and then, wherever the data lie."""
    dice, law, packs = random.Random(20261122), LAWS[name], asked(name)
    found: list[Facts] = []
    while len(found) < DENIED:
        case = throw(
            dice,
            home=law.home,
            people=law.subjects,
            classes=law.classes,
            law=law.law,
            made_under=law.made_under,
            risks=law.risks,
            kinds=law.kinds,
            moments=law.moments,
        )
        stray = dice.random() < 0.1
        flows = [
            one
            if stray
            else replace(
                one, data_subjects=() if dice.random() < 0.1 else law.subjects, perimeter=dice.choice([law.law, ""])
            )
            for one in case.flows
        ]
        frozen = freeze(
            now=case.now,
            model=case.model,
            version=case.version,
            environment=case.environment,
            promotion=case.promotion,
            flows={(one.kind, one.subject, one.region): one for one in flows}.values(),
            safeguards=case.safeguards,
            evidence=case.evidence,
            explanations=case.explanations,
        )
        if evaluate(packs, frozen).blocking:
            found.append(frozen)
    return found


@pytest.mark.parametrize("name", LAWS)
def test_every_set_flips_and_none_holds_more_than_it_needs(name: str) -> None:
    packs, law = asked(name), LAWS[name]
    seen: Counter[str] = Counter()
    for case in denied(name):
        found = ways(case, *packs)
        assert found.word in ("deny", "error")
        for way in found.ways:
            assert flips(way.actions, packs, case)
            after = way.applied(State(tuple(packs), case.document)).document
            assert way.temporary or expected(law, as_thrown(after))[1] == "allow"  # the reference knows no waivers
            sizes = range(len(way.actions)) if len(way.actions) <= DEPTH else [len(way.actions) - 1]
            parts = [part for size in sizes for part in combinations(way.actions, size)]
            assert not any(flips(part, packs, case) for part in parts)
        seen["flipped" if found.ways else "stuck"] += 1
        assert bool(found.ways) != bool(found.stuck)
        blocked = {(one.rule, one.subject) for one in evaluate(packs, case).blocking}
        assert {(one.rule, one.subject) for one in found.stuck} <= blocked
        assert all(one.why in ("no_pack", "lineage", "served", "no_action", "too_many") for one in found.stuck)
    assert seen["flipped"] >= (DENIED / 5 if law.residency else 0), seen


def test_nothing_is_offered_for_what_is_allowed() -> None:
    found = ways(facts(), *shipped("ksa-pdpl", "registry-hygiene"))
    assert (found.word, found.ways, found.stuck, found.complete) == ("allow", (), (), True)


def test_what_exists_is_approved_before_it_is_renewed_and_renewed_before_another_is_recorded() -> None:
    guards = [
        safeguard(id="TS-1", status="proposed"),
        safeguard(id="TS-2", expires_at=NOW - DAY, risk_assessment_at=None),
        safeguard(id="TS-3", status="revoked"),
    ]
    found = ways(facts(flow(**ABROAD), safeguards=guards), *shipped("ksa-pdpl"))
    assert kinds(found) == [["approve_safeguard"], ["renew_safeguard"], ["record_safeguard"]]
    renewed = found.ways[1].actions[0].details()
    assert (renewed["safeguard"], renewed["changes"]) == ("TS-2", ["expires_at", "risk_assessment_at"])
    assert found.complete
    assert all(way.smallest for way in found.ways)


def test_a_renewal_mends_what_the_law_asks_for_and_no_more() -> None:
    ended = safeguard(law="AE-federal", expires_at=NOW, risk_assessment_at=None)
    found = ways(facts(flow(data_subjects=["AE"], **ABROAD), safeguards=[ended]), *shipped("uae-pdpl"))
    assert found.ways[0].actions[0].details()["changes"] == ["expires_at"]


def test_no_paper_covers_a_place_that_nobody_confirmed() -> None:
    announced = flow(region="azure:saudi-announced", country="", confirmed=False)
    found = ways(facts(announced, safeguards=[safeguard()]), *shipped("ksa-pdpl"))
    assert kinds(found) == [["move"]]


def test_one_new_safeguard_covers_all_that_it_can_and_nothing_else() -> None:
    flows = [
        flow(subject="dataset:a", **ABROAD),
        flow(subject="dataset:b", region="azure:uaenorth", country="AE"),
        flow(subject="dataset:home"),
    ]
    (best, *_) = ways(facts(*flows), *shipped("ksa-pdpl")).ways
    (one,) = best.actions
    assert one.details() == {
        "types": ["SCC", "BCR", "ACCREDITATION_CERT"],
        "law": "SA",
        "subjects": ["dataset:a", "dataset:b"],
        "regions": ["aws:eu-central-1", "azure:uaenorth"],
    }


def test_a_certificate_is_no_alternative_for_sensitive_data() -> None:
    (best, *_) = ways(facts(flow(classification="special", **ABROAD)), *shipped("ksa-pdpl")).ways
    assert best.actions[0].details()["types"] == ["SCC", "BCR"]


def test_two_laws_need_two_papers_or_a_place_that_one_of_them_allows() -> None:
    found = ways(facts(flow(data_subjects=["SA", "AE"], **ABROAD)), *shipped("ksa-pdpl", "uae-pdpl"))
    assert kinds(found) == [["record_safeguard", "record_safeguard"], ["move", "record_safeguard"]]
    assert {one.details()["law"] for one in found.ways[0].actions} == {"SA", "AE-federal"}


def test_data_move_to_places_that_the_pack_names_when_no_paper_helps() -> None:
    rule = (
        'unless_any: safeguard\nunless: {never: "safeguard.id == \'\'"}\nrequire: {home: "flow.region == params.home"}'
    )
    home = compile_pack(pack(rule, params='{home: "gcp:me-central2"}'))
    found = ways(facts(flow(**ABROAD)), home)
    assert kinds(found) == [["move"]]
    assert found.ways[0].actions[0].details() == {
        "flow": "dataset",
        "subjects": ["dataset:loans"],
        "from": "aws:eu-central-1",
        "to": ["gcp:me-central2"],
    }


def test_what_is_unknown_is_recorded_and_never_as_nobodys() -> None:
    unknown = flow(subject="dataset:x", classification="", data_subjects=[], region="", country="", confirmed=False)
    found = ways(facts(unknown, flow()), *shipped("ksa-pdpl", "registry-hygiene"))
    (one,) = found.ways[0].actions
    assert one.kind == "describe_data"
    assert one.details() == {
        "subjects": ["dataset:x"],
        "tried": {"classification": "special", "data_subjects": ["SA"], "region": "gcp:me-central2"},
    }
    (after, *_) = found.ways[0].applied(State((), thaw(facts(unknown).document).document)).document["flows"]
    assert (after["personal"], after["sensitive"]) == (True, True)
    dice = random.Random(1)
    for _ in range(20):
        case = throw(dice).facts
        for way in ways(case, *shipped("ksa-pdpl", "uae-pdpl", "registry-hygiene")).ways:
            after = way.applied(State((), case.document)).document["flows"]
            was = {(one["kind"], one["subject"]): one["personal"] for one in case.document["flows"]}
            assert all(one["personal"] or not was[one["kind"], one["subject"]] for one in after)


def test_what_serves_follows_the_data_that_were_described() -> None:
    served = flow(kind="serving", subject="environment:e", classification="", data_subjects=[])
    found = ways(facts(flow(classification="", data_subjects=[]), served), *shipped("ksa-pdpl", "registry-hygiene"))
    assert kinds(found)[0] == ["describe_data"]


def test_unknown_lineage_is_said_not_guessed() -> None:
    served = flow(kind="serving", subject="environment:e", classification="", data_subjects=[])
    found = ways(facts(served), *shipped("ksa-pdpl", "registry-hygiene"))
    assert found.ways == ()
    assert {one.why for one in found.stuck} == {"lineage"}


def test_a_version_is_completed_in_what_it_lacks() -> None:
    found = ways(facts(digest="", trained_by=()), *shipped("ksa-pdpl", "registry-hygiene"))
    assert [one.details()["field"] for one in found.ways[0].actions] == ["digest", "trained_by"]


def test_a_pack_is_activated_for_people_of_whom_no_rule_speaks() -> None:
    known = replace(KNOWN, packs=tuple(shipped("gdpr-transfers", "uae-pdpl")))
    case = facts(flow(data_subjects=["DE"], **ABROAD))
    (best, *_) = ways(case, *shipped("ksa-pdpl"), known=known).ways
    assert [one.details()["pack"] for one in best.actions] == ["gdpr-transfers"]
    found = ways(facts(flow(data_subjects=["QA"])), *shipped("ksa-pdpl"), known=known)
    assert [(one.rule, one.why) for one in found.stuck] == [("ENGINE-COVERAGE", "no_pack")]


def test_an_incident_is_lifted_and_nothing_else_helps() -> None:
    held = IncidentFact("INC-7", "Poisoned", "dataset:loans", NOW - DAY, NOW, "user:omar", [VERSION, "dataset:loans"])
    found = ways(facts(incidents=[held]), *shipped("ksa-pdpl"))
    assert [one.name for one in found.ways[0].actions] == ["lift:INC-7"]
    assert len(found.ways) == 1


def test_evidence_is_supplied_and_a_waiver_is_only_the_last_and_temporary() -> None:
    found = ways(facts(flow(classification="none"), evidence=[evidence(expires_at=NOW)]), READY)
    assert kinds(found)[0] == ["supply_evidence"]
    assert found.ways[0].actions[0].details() == {"type": "validation_report"}
    assert [(way.temporary, way.actions[0].kind) for way in found.ways[1:]] == [(True, "record_waiver")]


def test_a_waiver_that_was_proposed_is_approved_rather_than_another_recorded() -> None:
    proposed = WaiverFact("WV-1", "test", 1, "T-1", VERSION, "prod-ksa", [VERSION], NOW - DAY, NOW + DAY)
    never = compile_pack(
        pack("- concern\nfor_each: version\nrequire: {never: \"version.number == ''\"}\nwaivable: true")
    )
    found = ways(facts(flow(classification="none"), waivers=[proposed]), never)
    assert kinds(found) == [["approve_waiver"], ["record_waiver"]]
    assert all(way.temporary for way in found.ways)


def test_what_cannot_be_evaluated_is_named() -> None:
    broken = compile_pack(
        pack('for_each: version\n- concern\nrequire: {broken: "1 / (version.number.size() - 2) > 0"}')
    )
    found = ways(facts(), broken)
    assert [(one.rule, one.why) for one in found.stuck if one.rule == "T-1"] == [("T-1", "error")]
    assert found.complete


def test_signatures_are_the_last_step_and_those_given_do_not_count_for_what_changed() -> None:
    events = [
        SignOffEvent(str(number), "approved", by, role, SUBJECT, NOW - DAY, NOW - DAY)
        for number, (by, role) in enumerate((("user:layla", "ml_lead"), ("user:omar", "compliance_officer")))
    ]
    packs = shipped("ksa-pdpl", "two-person-production")
    assert ways(facts(), *packs, inputs=signed(*events)).word == "allow"
    waiting = ways(facts(), *packs, inputs=signed(events[0]))
    assert (waiting.word, [way.actions for way in waiting.ways]) == ("pending", [()])
    assert [one["role"] for one in waiting.ways[0].signoff["missing"]] == ["compliance_officer"]
    changed = ways(facts(flow(**ABROAD)), *packs, inputs=signed(*events))
    missing = sorted(one["role"] for one in changed.ways[0].signoff["missing"])
    assert missing == ["compliance_officer", "ml_lead"]


def test_a_rejection_is_mended_by_nobody() -> None:
    no = SignOffEvent("1", "rejected", "user:layla", "ml_lead", SUBJECT, NOW - DAY, NOW - DAY)
    found = ways(facts(), *shipped("ksa-pdpl", "two-person-production"), inputs=signed(no))
    assert (found.word, found.ways, [one.why for one in found.stuck]) == ("deny", (), ["rejected"])


def many(dice: random.Random, size: int, guards: int) -> Facts:
    places = [("gcp:me-central2", "SA"), ("aws:eu-central-1", "DE"), ("azure:uaenorth", "AE"), ("", "")]
    flows = [
        flow(
            subject=f"dataset:d{number}",
            classification=dice.choice(["personal", "sensitive", "", "none"]) if number % 7 == 0 else "personal",
            data_subjects=dice.choice([["SA"], ["AE"], ["SA", "AE"]]),
            region=place[0],
            country=place[1],
        )
        for number in range(size)
        for place in [dice.choice(places)]
    ]
    named = [[f"dataset:d{number}" for number in range(size) if dice.random() < 0.5] for _ in range(guards)]
    return facts(*flows, safeguards=[safeguard(id=f"TS-{at}", subjects=names) for at, names in enumerate(named)])


@pytest.mark.parametrize("guards", [0, 12])
def test_the_budget_holds_for_three_hundred_data_sets(guards: int) -> None:
    packs, case = shipped("ksa-pdpl", "uae-pdpl", "registry-hygiene"), many(random.Random(7), 300, guards)
    found = ways(case, *packs)
    assert found.evaluations <= 2_200
    assert all(flips(way.actions, packs, case) for way in found.ways)
    assert found.ways or found.stuck
    assert found == ways(case, *packs)


def test_a_spent_budget_says_so_and_never_that_nothing_smaller_exists() -> None:
    case = facts(flow(**ABROAD), safeguards=[safeguard(status="proposed")])
    found = ways_to_pass(shipped("ksa-pdpl"), case, NOBODY, KNOWN, tries=1)
    assert not found.complete
    assert found.evaluations < 600
