"""A9: private values are exchanged between entries, or one is replaced by another text."""

from __future__ import annotations

from django.conf import settings

from audit import payloads
from tests.audit.sealed import KARIM, SealedLog
from tests.audit.story import execute

_TWO = "SELECT event_id FROM audit.payload WHERE field = 'reason' ORDER BY event_id LIMIT 2"


def _named(sealed_log: SealedLog) -> list[str]:
    verdict = sealed_log.verify()
    assert verdict.outcome == "failed"
    return [finding for finding in verdict.findings if "«reason» is not the one that was recorded" in finding]


def test_bodies_that_change_places_are_found_in_both_entries(sealed_log: SealedLog) -> None:
    sealed_log.attack(
        "UPDATE audit.payload p SET body = o.body FROM audit.payload o WHERE p.field = 'reason' AND o.field = 'reason'"
        f" AND p.event_id IN ({_TWO}) AND o.event_id IN ({_TWO}) AND p.event_id <> o.event_id"
    )
    assert len(_named(sealed_log)) == 2


def test_whole_values_that_change_places_are_found_in_both_entries(sealed_log: SealedLog) -> None:
    sealed_log.attack(
        "UPDATE audit.payload p SET body = o.body, salt = o.salt, key_id = o.key_id FROM audit.payload o"
        " WHERE p.field = 'reason' AND o.field = 'reason'"
        f" AND p.event_id IN ({_TWO}) AND o.event_id IN ({_TWO}) AND p.event_id <> o.event_id"
    )
    assert len(_named(sealed_log)) == 2


def test_a_well_sealed_other_text_does_not_fit_the_commitment(sealed_log: SealedLog) -> None:
    event_id = sealed_log.read(_TWO)[0][0]
    forged = payloads.seal(event_id, [payloads.Value.of("reason", KARIM.id, b"Another reason")])[0]
    sealed_log.attack(
        f"UPDATE audit.payload SET body = '\\x{forged.body.hex()}', salt = '\\x{forged.salt.hex()}',"
        f" key_id = '{forged.key_id}' WHERE event_id = '{event_id}' AND field = 'reason'"
    )
    assert len(_named(sealed_log)) == 1


def test_values_whose_keys_nobody_answers_for_are_unknown_and_not_fine(sealed_log: SealedLog) -> None:
    key_ids = [row[0] for row in sealed_log.read("SELECT DISTINCT key_id FROM audit.payload")]
    sealed_log.attack(f"UPDATE audit.payload SET key_id = gen_random_uuid() WHERE key_id = '{key_ids[0]}'")
    verdict = sealed_log.verify()
    assert verdict.outcome == "unknown"
    assert execute(str(settings.SUBJECT_KEYS_DATABASE_URL), "SELECT 1") == [(1,)]
