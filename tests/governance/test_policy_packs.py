"""Packs: shipped, drafted, activated by a second person; without them nothing is allowed."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction

from audit.refusals import BadInput, Conflict, NotPermitted
from governance import decisions, gate, packs, policies, promotions
from governance.models.policy import PackState, PolicyPack
from tests.governance import scene
from tests.governance.scene import Bank


def _next_version(slug: str) -> str:
    return policies.shipped_packs()[slug].replace("version: 1\n", "version: 2\n", 1)


def test_loading_the_shipped_packs_twice_changes_nothing(bank: Bank) -> None:
    before = list(PolicyPack.objects.values_list("slug", "version", "state", "digest"))
    assert {slug for slug, *_rest in before} == set(policies.shipped_packs())
    assert packs.load_shipped() == []
    assert list(PolicyPack.objects.values_list("slug", "version", "state", "digest")) == before


def test_a_pack_comes_into_force_by_a_second_person_and_retires_the_one_before(bank: Bank) -> None:
    row = packs.draft(_next_version("two-person-production"), by=scene.actor("omar"))
    with pytest.raises(NotPermitted) as refusal:
        packs.activate(row.slug, 2, reason="Clearer.", by=scene.actor("omar"))
    assert refusal.value.code == "pack.self_activation"
    scene.in_force(row)
    states = dict(PolicyPack.objects.filter(slug=row.slug).values_list("version", "state"))
    assert states == {1: PackState.RETIRED, 2: PackState.ACTIVE}


def test_a_new_version_of_a_pack_makes_sign_offs_stale(bank: Bank) -> None:
    promotion = scene.approved(bank)
    scene.in_force(packs.draft(_next_version("uae-pdpl"), by=scene.actor("omar")))
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    promotion.refresh_from_db()
    assert (promotion.state, promotion.round) == ("in_review", 2)


def test_a_pack_that_does_not_compile_is_refused_with_its_lines(bank: Bank) -> None:
    with pytest.raises(BadInput) as refusal:
        packs.draft(_next_version("uae-pdpl").replace("flow.region", "flow.regoin"), by=scene.actor("omar"))
    assert "regoin" in refusal.value.sentence
    with pytest.raises(Conflict):
        packs.draft(policies.shipped_packs()["uae-pdpl"], by=scene.actor("omar"))


def test_the_text_of_a_pack_cannot_be_rewritten(bank: Bank) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        PolicyPack.objects.filter(slug="uae-pdpl").update(text="pack: nothing")


def test_without_any_active_pack_nothing_is_allowed(bank: Bank) -> None:
    for row in PolicyPack.objects.filter(state=PackState.ACTIVE):
        with transaction.atomic():
            packs.PACKS.transition(row, PackState.RETIRED, by=scene.SET_UP)
    for place in (bank.uae, bank.staging, bank.frankfurt):
        answer = gate.check(bank.new, place, by=scene.actor("ci"))
        assert answer.verdict.outcome in ("deny", "error")
        assert answer.permit is None


def test_an_active_pack_that_the_engine_no_longer_accepts_makes_the_gate_undecidable(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str) -> policies.CompiledPack:
        raise policies.PackError((policies.Problem(1, 1, "X", "no longer a word"),))

    monkeypatch.setattr(packs, "_compiled", {})  # a new process with another engine
    monkeypatch.setattr(policies, "compile_pack", broken)
    answer = gate.check(bank.new, bank.staging, by=scene.actor("ci"))
    assert answer.verdict.outcome == "error"
    assert answer.permit is None
    assert answer.decision is not None
    assert answer.decision.outcome == "error"


def test_a_fact_that_cannot_be_collected_makes_the_gate_undecidable_and_is_recorded(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(**_facts: object) -> policies.Facts:
        raise policies.MissingFact("flow.kind", "dataset:loans-2026q3", "The kind is missing.")

    monkeypatch.setattr(policies, "freeze", missing)
    promotion = scene.request(bank)
    assert promotion.state == "blocked"
    decision = scene.latest(promotion)
    assert decision.outcome == "error"
    assert decision.findings[0]["rule"] == "facts.missing"
    assert decisions.evaluate(decisions.case_of(promotion)).outcome == "error"
