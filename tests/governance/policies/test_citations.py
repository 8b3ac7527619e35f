"""Every citation of every rule in force, with its source and date; none of what nobody has verified is among them."""

from __future__ import annotations

from datetime import date

import pytest

from governance.policies import CompiledPack, PackError, compile_pack, lint_pack, shipped_packs
from governance.policies.lint import unverified_ids

#: How each citation was verified: T, the text itself was read; S, secondary sources that agree. Whoever ships a new one
#: adds it here, having looked.
VERIFIED = {
    "PDPL Art. 29(2)": "T",
    "TR Art. 4(1)": "T",
    "TR Art. 6(2)": "T",
    "Federal Decree-Law 45/2021 Art. 22": "T",
    "Federal Decree-Law 45/2021 Art. 23(1)(a)": "T",
    "ADGM DPR 2021 s. 40": "T",
    "ADGM DPR 2021 s. 41": "T",
    "ADGM DPR 2021 s. 42(2)": "T",
    "DIFC DPL Art. 26": "T",
    "DIFC DPL Art. 27(2)": "T",
    "QFC DPR 2021 Art. 23": "S",
    "QFC DPR 2021 Art. 24": "S",
    "GDPR Art. 44": "T",
    "GDPR Art. 45(1)": "T",
    "GDPR Art. 46(2)": "T",
    "GDPR Art. 49(1)": "T",
    "GDPR Art. 13(2)(f)": "T",
    "GDPR Art. 15(1)(h)": "T",
    "GDPR Art. 22(1)": "T",
    "GDPR Art. 22(2)": "T",
    "GDPR Art. 22(3)": "T",
    "GDPR Art. 22(4)": "T",
    "EU AI Act Art. 12": "T",
    "EU AI Act Art. 14": "T",
    "EU AI Act Art. 19": "T",
    "EU AI Act Art. 26(5)": "T",
    "EU AI Act Art. 26(6)": "T",
    "EU AI Act Art. 86": "T",
}
#: Rules of our own need no law behind them and claim none.
OWN = ("House rule: ", "Principle: ")
#: Known only by hearsay when the packs were written.
UNREAD = {"ADGM DPR 2021 s. 43", "Law 13/2016 Art. 15"}


def packs() -> list[CompiledPack]:
    return [compile_pack(text) for text in shipped_packs().values()]


def cited(*, enabled: bool) -> list[tuple[str, str, str]]:
    """(pack, rule, citation)"""
    return [
        (pack.id, one.rule.id, cite)
        for pack in packs()
        for one in (pack.rules if enabled else pack.disabled)
        for cite in one.rule.cites
    ]


def test_every_citation_in_force_was_verified_and_names_its_source_and_date() -> None:
    by_id = {pack.id: pack.pack for pack in packs()}
    listed = []
    for name, rule, cite in cited(enabled=True):
        pack = by_id[name]
        if not cite.startswith(OWN):
            assert VERIFIED[cite] in "TS", (rule, cite)
            assert pack.sources, f"{name} cites {cite} without a source"
            assert pack.verified_on is not None
            assert pack.verified_on <= date(2026, 11, 22), name
            listed.append((cite, VERIFIED[cite], pack.sources[0].url, pack.verified_on.isoformat()))
    assert {cite for cite, *_ in listed} == set(VERIFIED)
    assert not {cite for cite, *_ in listed} & UNREAD


def test_what_was_not_read_ships_switched_off_and_says_so() -> None:
    off = cited(enabled=False)
    assert {cite for _, _, cite in off} == UNREAD
    assert {rule for _, rule, _ in off} == unverified_ids() == {"ADGM-RES-002", "QA-RES-001"}
    for pack in packs():
        for one in pack.disabled:
            assert one.rule.unverified or pack.pack.unverified


def test_a_rule_in_force_never_says_that_it_is_unverified() -> None:
    assert [one.rule.id for pack in packs() for one in pack.rules if one.rule.unverified] == []


def enabled(name: str, *, head: str = "", keep_the_word: bool = True) -> str:
    """A shipped text with everything in it switched on."""
    lines = [
        line.replace("enabled: false", "enabled: true")
        for line in shipped_packs()[name].splitlines()
        if keep_the_word or not line.strip().startswith(("enabled:", "unverified:"))
    ]
    text = "\n".join(line for line in lines if not line.startswith("verified_on"))
    return text.replace("status: draft", f"status: draft\n{head}", 1) + "\n"


@pytest.mark.parametrize("name", ["qatar-pdppl", "adgm-dpr"])
@pytest.mark.parametrize("keep_the_word", [True, False])
@pytest.mark.parametrize("head", ["", "verified_by: Dana Haddad", "verified_on: 2026-11-22"])
def test_what_nobody_verified_cannot_be_switched_on_without_a_name_and_a_date(
    name: str, keep_the_word: bool, head: str
) -> None:
    with pytest.raises(PackError, match="Nobody has verified this rule"):
        lint_pack(enabled(name, head=head, keep_the_word=keep_the_word))


@pytest.mark.parametrize("name", ["qatar-pdppl", "adgm-dpr"])
def test_a_person_and_a_date_switch_it_on(name: str) -> None:
    pack = lint_pack(enabled(name, head="verified_by: Dana Haddad\nverified_on: 2026-11-22"))
    assert pack.disabled == ()


def test_the_saudi_safeguards_are_exactly_three_and_no_country_is_presumed_adequate() -> None:
    params = dict(compile_pack(shipped_packs()["ksa-pdpl"]).pack.params)
    assert params["safeguard_types"] == ("SCC", "BCR", "ACCREDITATION_CERT")
    for pack in packs():
        assert dict(pack.pack.params).get("adequate_countries", ()) == ()
