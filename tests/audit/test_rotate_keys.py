"""The log gets new keys: both sets sign during the overlap, old checkpoints still verify, the old ones retire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from audit import checks, entries, keyring, queries, rotation
from audit.merkle.checkpoint import NoteInvalid, Vkey, parse, verify
from audit.refusals import Conflict
from audit.sequencer import Sequencer
from audit.signer import Signer, SignerRefusal
from config.stack import database
from tests import personas
from tests.audit.story import LAYLA, ORIGIN, append, as_attacker, execute, verdict
from tests.conftest import CommittedDatabase

NOTES = "SELECT size, note FROM audit.checkpoint ORDER BY size"


@pytest.fixture
def rotated(committed_db: CommittedDatabase, sequence: Callable[[], None], signer: Signer) -> tuple[Vkey, ...]:
    """Sizes: 3 with the old keys, 4 with the rotation, 5 after it. Returns the old keys."""
    old = signer.vkeys
    append()
    sequence()
    rotation.rotate(signer, by=LAYLA)
    sequence()
    append()
    sequence()
    return old


def _overlap_is_over(own: CommittedDatabase) -> None:
    as_attacker(own.admin_url, "UPDATE audit.key SET created_at = created_at - interval '31 days'")


def test_both_sets_sign_after_a_rotation_and_the_old_checkpoints_still_verify(
    committed_db: CommittedDatabase, rotated: tuple[Vkey, ...], signer: Signer
) -> None:
    ring = rotation.ring()
    notes = dict(execute(committed_db.admin_url, NOTES))
    assert [len(parse(note).signatures) for note in notes.values()] == [2, 4, 4]
    for size, note in notes.items():
        assert verify(note, ring.valid_at(size)).size == size
    assert [key.from_size for key in ring.keys] == [0, 0, 4, 4]
    assert ring.valid_at(3) == list(rotated)
    assert entries.vkeys() == [str(vkey) for vkey in signer.vkeys]
    row = queries.search().rows[1]
    assert (row.event, row.facts["old"]) == ("key.rotated", [str(vkey) for vkey in rotated])
    assert list(keyring.problems(queries.fetch, 1)) == []
    only_old = notes[5].replace("\n".join(notes[5].split("\n")[-3:]), "")
    with pytest.raises(NoteInvalid):
        verify(only_old, ring.valid_at(5))
    assert not [finding for finding in verdict(signer).findings if "key" in finding or "checkpoint" in finding]


def test_the_old_keys_retire_after_the_overlap_and_are_destroyed(
    committed_db: CommittedDatabase,
    rotated: tuple[Vkey, ...],
    sequencer: Sequencer,
    signer: Signer,
    tmp_path: Any,
) -> None:
    with pytest.raises(Conflict, match="until"):
        rotation.retire(signer, by=LAYLA)
    with pytest.raises(Conflict, match="under way"):
        rotation.rotate(signer, by=LAYLA)
    _overlap_is_over(committed_db)
    rotation.retire(signer, by=LAYLA)
    with pytest.raises(Conflict, match="already"):
        rotation.retire(signer, by=LAYLA)
    sequencer.run_once()
    ring = rotation.ring()
    assert [(key.from_size, key.to_size) for key in ring.keys] == [(0, 5), (0, 5), (4, None), (4, None)]
    assert not set(rotated) & set(signer.vkeys)
    assert sorted(path.name for path in (tmp_path / "signer-state").glob("*.key")) == ["ed25519-2.key", "mldsa44-2.key"]
    append()
    sequencer.run_once()
    for size, note in execute(committed_db.admin_url, NOTES):
        assert verify(note, ring.valid_at(size)).size == size
    assert list(keyring.problems(queries.fetch, 1)) == []
    sequencer.close()
    signer.close()
    again = Signer(tmp_path / "signer-state", ORIGIN)
    restarted = Sequencer(committed_db.url(database.SEQUENCER), again)
    append()
    restarted.run_once()
    restarted.close()
    again.close()


def test_an_entry_by_hand_neither_gives_nor_takes_keys(
    committed_db: CommittedDatabase, rotated: tuple[Vkey, ...], sequence: Callable[[], None], signer: Signer
) -> None:
    """The web server's role can write such entries; they keep their place and change nothing."""
    from django.db import transaction

    from audit import log
    from audit.models import Event

    stranger = [str(Vkey(ORIGIN, vkey.algorithm, vkey.public_key)) for vkey in Signer(_folder(signer), "x/y").vkeys]
    mine = [str(vkey) for vkey in signer.vkeys]
    with transaction.atomic():
        for facts in ({"new": stranger}, {"new": "x"}, {}, {"new": [1, None]}):
            log.append(Event.KEY_ROTATED, f"log:{ORIGIN}", facts=facts, by=LAYLA)
        for facts in ({"vkeys": mine}, {"vkeys": mine[:2]}, {"vkeys": mine[2:]}, {"vkeys": {}}, {}):
            log.append(Event.KEY_RETIRED, f"log:{ORIGIN}", facts=facts, by=LAYLA)
    sequence()
    assert [str(vkey) for vkey in rotation.ring().valid()] == mine
    _overlap_is_over(committed_db)
    with transaction.atomic():
        log.append(Event.KEY_RETIRED, f"log:{ORIGIN}", facts={"vkeys": mine[2:]}, by=LAYLA)
    sequence()
    assert [str(vkey) for vkey in rotation.ring().valid()] == mine


def test_a_key_row_without_its_entry_is_found(
    committed_db: CommittedDatabase, rotated: tuple[Vkey, ...], signer: Signer
) -> None:
    assert list(keyring.problems(queries.fetch, 1)) == []
    as_attacker(committed_db.admin_url, "UPDATE audit.key SET from_size = 3 WHERE from_size = 4")
    assert len(list(keyring.problems(queries.fetch, 1))) == 2
    as_attacker(committed_db.admin_url, "UPDATE audit.key SET from_size = 4 WHERE from_size = 3")
    ended = "INSERT INTO audit.key_end (log_id, vkey, to_size, event_id) SELECT 1, vkey, 4, event_id FROM audit.key"
    as_attacker(committed_db.admin_url, f"{ended} WHERE from_size = 0")
    assert [text for text in keyring.problems(queries.fetch, 1) if "ends" in text]


def test_the_signer_keeps_its_newest_keys_whatever_is_asked(signer: Signer) -> None:
    signer.sign(1, bytes(32), [])
    names = [str(vkey) for vkey in signer.vkeys]
    with pytest.raises(SignerRefusal):
        signer.retire(names)
    fresh = [str(vkey) for vkey in signer.rotate()]
    assert [str(vkey) for vkey in signer.rotate()] == fresh
    for vkeys in (names, fresh, names + fresh, names[:1]):
        with pytest.raises(SignerRefusal):
            signer.retire(vkeys)
    signer.retire(["unknown"])
    assert len(signer.vkeys) == 4


@pytest.mark.usefixtures("rotated")
def test_the_command_lists_rotates_and_says_what_is_wrong(
    signer: Signer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "signer_for_writing", lambda: signer)
    call_command("audit_keys", "list")
    assert "sizes 4-" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no active account"):
        call_command("audit_keys", "rotate", "--by", "nobody")
    personas.get("layla")
    with pytest.raises(CommandError, match="under way"):
        call_command("audit_keys", "rotate", "--by", "layla")
    with pytest.raises(CommandError, match="until"):
        call_command("audit_keys", "retire", "--by", "layla")


def _folder(signer: Signer) -> Any:
    return signer._state.parent / "stranger"
