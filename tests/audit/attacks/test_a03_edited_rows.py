"""A3: a superuser with every trigger off changes or deletes an entry, or only what is shown of one."""

from __future__ import annotations

import pytest

from tests.audit.sealed import SealedLog

REPLACED = "convert_to(replace(convert_from(entry, 'UTF8'), 'model', 'modem'), 'UTF8')"
#: The edit, and the words of its finding.
EDITS = {
    f"UPDATE audit.entry SET entry = {REPLACED} WHERE id = 300": "do not have the hash",
    "UPDATE audit.entry SET object_key = 'model:other' WHERE id = 300": "differs from the row",
    "UPDATE audit.event SET subject = 'model:other' WHERE leaf_index = 300": "#300: the list shows something else",
    "UPDATE audit.event SET model = 'other' WHERE leaf_index = 300": "#300: the list shows something else",
    "UPDATE audit.event SET recorded_at = recorded_at - interval '1 day' WHERE leaf_index = 9": "#9: the list shows",
    "UPDATE audit.event SET occurred_at = occurred_at - interval '1 day' WHERE leaf_index = 9": "#9: the list shows",
    "DELETE FROM audit.event WHERE leaf_index = 7": "#7: the list does not show it",
    "INSERT INTO audit.event SELECT log_id, 700, gen_random_uuid(), event, actor_id, subject, object_key, model,"
    " environment, request_id, occurred_at, recorded_at FROM audit.event WHERE leaf_index = 7": "not in the tree",
    "DELETE FROM audit.entry WHERE id = 300": "bytes are missing",
    "WITH gone AS (DELETE FROM audit.leaf WHERE leaf_index = 300 RETURNING entry_id)"
    " DELETE FROM audit.entry WHERE id IN (SELECT entry_id FROM gone)": "entry #300 is missing: the next is #301",
    "UPDATE audit.leaf SET leaf_hash = sha256('x') WHERE leaf_index = 4": "#4: its bytes do not have the hash",
    "UPDATE audit.tile SET hashes = set_byte(hashes, 65, get_byte(hashes, 65) # 1) WHERE level = 0 AND idx = 1": (
        "#258: tile 0/1 does not fit"
    ),
    "UPDATE audit.tile SET root = sha256('x') WHERE level = 0 AND idx = 1": "tile 0/1",
    "DELETE FROM audit.tile WHERE level = 0 AND idx = 0": "tile 0/0, which ends here, is missing",
    "INSERT INTO audit.tile SELECT log_id, level, 9, hashes, root FROM audit.tile WHERE idx = 0": "0/9 does not belong",
    "UPDATE audit.checkpoint SET root = sha256('x') WHERE size = 12": "checkpoint 12: the note signs something else",
    "UPDATE audit.checkpoint SET note = replace(note, 'log', 'lag') WHERE size = 12": "checkpoint 12",
    "UPDATE audit.key SET from_size = 5": "no entry announces",
    "DELETE FROM audit.payload WHERE field = 'reason'": "«reason» is missing without an erasure",
    "INSERT INTO audit.payload SELECT log_id, event_id, 'extra', subject, salt, key_id, body FROM audit.payload"
    " LIMIT 1": ("«extra» was added later"),
    "INSERT INTO audit.payload SELECT log_id, gen_random_uuid(), field, subject, salt, key_id, body FROM audit.payload"
    " LIMIT 1": "1 private values belong to no entry",
}


def test_an_untouched_log_verifies(sealed_log: SealedLog) -> None:
    verdict = sealed_log.verify()
    assert verdict.findings == []
    assert (verdict.outcome, verdict.size) == ("verified", 600)
    assert {step.state for step in verdict.steps} == {"passed"}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_with_triggers_switched_off_is_found_and_named(sealed_log: SealedLog, edit: str) -> None:
    sealed_log.attack(edit)
    verdict = sealed_log.verify()
    assert verdict.outcome == "failed"
    assert any(EDITS[edit] in finding for finding in verdict.findings), verdict.findings


def test_the_first_difference_comes_first(sealed_log: SealedLog) -> None:
    for leaf in (500, 20, 300):
        sealed_log.attack(f"UPDATE audit.event SET subject = 'model:other' WHERE leaf_index = {leaf}")
    assert sealed_log.verify().findings[0].startswith("entry #20:")
