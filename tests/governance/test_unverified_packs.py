"""A pack whose law nobody has read is there to be read, and comes into force only by a person's name and a date."""

from __future__ import annotations

import pytest

from audit.refusals import BadInput
from governance import packs, policies
from governance.models.policy import PackState, PolicyPack
from tests.governance import scene
from tests.governance.scene import Bank

SLUG = "qatar-pdppl"


def test_what_nobody_verified_is_loaded_as_a_draft_and_decides_nothing(bank: Bank) -> None:
    states = dict(PolicyPack.objects.values_list("slug", "state"))
    off = {name for name, text in policies.shipped_packs().items() if not policies.compile_pack(text).pack.enabled}
    assert off == {SLUG}
    assert {name for name, state in states.items() if state == PackState.DRAFT} == off
    assert SLUG not in {pack.id for pack in packs.active_packs()}


def test_it_cannot_be_activated_and_a_copy_without_the_word_is_refused(bank: Bank) -> None:
    with pytest.raises(BadInput) as refusal:
        packs.activate(SLUG, 1, reason="Qatar opens.", by=scene.actor("omar"))
    assert refusal.value.code == "pack.unverified"
    text = policies.shipped_packs()[SLUG].replace("version: 1", "version: 2", 1)
    bare = "\n".join(line for line in text.splitlines() if not line.startswith(("enabled:", "unverified:")))
    for copy in (text.replace("enabled: false", "enabled: true"), bare):
        with pytest.raises(BadInput) as refusal:
            packs.draft(copy, by=scene.actor("omar"))
        assert "Nobody has verified this rule" in refusal.value.sentence


def test_a_name_and_a_date_bring_it_into_force(bank: Bank) -> None:
    text = policies.shipped_packs()[SLUG].replace("version: 1", "version: 2", 1)
    named = text.replace("enabled: false", "verified_by: Dana Haddad\nverified_on: 2026-11-22")
    named = "\n".join(line for line in named.splitlines() if not line.startswith("unverified:"))
    scene.in_force(packs.draft(named, by=scene.actor("omar")), reason="Read by the DPO.")
    assert SLUG in {pack.id for pack in packs.active_packs()}
