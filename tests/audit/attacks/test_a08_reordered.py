"""A8: two leaves change places."""

from __future__ import annotations

from tests.audit.sealed import SealedLog

SWAP = """
    UPDATE audit.leaf l SET entry_id = o.entry_id, leaf_hash = o.leaf_hash FROM audit.leaf o
    WHERE (l.leaf_index, o.leaf_index) IN ((30, 31), (31, 30))
"""


def test_two_swapped_entries_are_found_at_the_first_of_them(sealed_log: SealedLog) -> None:
    sealed_log.alter("ALTER TABLE audit.leaf DROP CONSTRAINT leaf_log_id_entry_id_key")
    sealed_log.attack(SWAP)
    sealed_log.alter("ALTER TABLE audit.leaf ADD UNIQUE (log_id, entry_id)")
    verdict = sealed_log.verify()
    assert verdict.findings[0].startswith("entry #30:")
    assert any("tile 0/0 does not fit" in finding for finding in verdict.findings)
    assert any("checkpoint 302" in finding for finding in verdict.findings)
    assert not [step for step in verdict.steps if step.name == "posture" and step.findings]


def test_also_when_the_list_is_swapped_with_them(sealed_log: SealedLog) -> None:
    sealed_log.alter("ALTER TABLE audit.leaf DROP CONSTRAINT leaf_log_id_entry_id_key")
    sealed_log.attack(
        SWAP,
        "UPDATE audit.event SET leaf_index = leaf_index + 9900 WHERE leaf_index IN (30, 31)",
        "UPDATE audit.event SET leaf_index = CASE leaf_index WHEN 9930 THEN 31 ELSE 30 END WHERE leaf_index > 9000",
    )
    verdict = sealed_log.verify()
    assert any("tile 0/0 does not fit the entries" in finding for finding in verdict.findings)
    assert any("checkpoint 302" in finding for finding in verdict.findings)
