"""A23: the signer's keys are stolen; a fork is signed with them while the honest log goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit import current_log, queries, recovery, shards
from audit.keyring import keyring
from audit.merkle.checkpoint import Head, Vkey, verify
from audit.merkle.proofs import ProofInvalid, consistency, verify_consistency
from audit.merkle.tree import EMPTY_ROOT, LeafHashes, leaf_hash, root_of
from audit.refusals import BadInput, Conflict
from audit.sequencer import Sequencer
from audit.signer import Signer
from audit.stored_tree import StoredTree
from config.stack import database
from tests.audit.story import LAYLA, ORIGIN, append, execute
from tests.conftest import CommittedDatabase

LEAVES = "SELECT leaf_hash FROM audit.leaf WHERE log_id = 1 ORDER BY leaf_index"


class Witness:
    """What any witness does (C2SP tlog-witness): it follows one history of a log and refuses every other."""

    def __init__(self, vkeys: tuple[Vkey, ...]) -> None:
        self._vkeys, self.seen = vkeys, Head(ORIGIN, 0, EMPTY_ROOT)

    def cosign(self, note: str, proof: list[bytes]) -> Head:
        """Raises ``NoteInvalid`` or ``ProofInvalid``; then nothing was cosigned."""
        head = verify(note, self._vkeys)
        verify_consistency(self.seen.size, head.size, self.seen.root, head.root, proof)
        self.seen = head
        return head


@pytest.fixture
def thief(
    committed_db: CommittedDatabase, sequence: Callable[[], None], signer: Signer, tmp_path: Path, settings: Any
) -> Iterator[Signer]:
    """Five entries are signed, then the whole state directory is copied."""
    settings.LOG_ORIGIN = ORIGIN
    append(3)
    sequence()
    shutil.copytree(tmp_path / "signer-state", tmp_path / "stolen")
    made = Signer(tmp_path / "stolen")
    yield made
    made.close()
    current_log.forget()


def _forked(own: CommittedDatabase, thief: Signer) -> tuple[str, LeafHashes]:
    """Another fifth entry's successor: two leaves that the log never held, signed with the stolen keys."""
    held = [bytes(row[0]) for row in execute(own.admin_url, LEAVES)][:5]
    leaves = [*held, leaf_hash(b"forged"), leaf_hash(b"too")]
    hashes = LeafHashes(leaves)
    return thief.sign(7, root_of(leaves), consistency(hashes, 5, 7)), hashes


def test_a_witness_follows_one_branch_and_refuses_the_other_though_both_are_signed(
    committed_db: CommittedDatabase, sequence: Callable[[], None], signer: Signer, thief: Signer
) -> None:
    early, late = Witness(signer.vkeys), Witness(signer.vkeys)
    for witness in (early, late):
        witness.cosign(signer.head()[1], [])
    fork, hashes = _forked(committed_db, thief)
    append(3)
    sequence()
    honest, tree = signer.head()[1], StoredTree(queries.fetch, 1, 8)
    early.cosign(honest, tree.consistency(5))
    for proof in ([], consistency(hashes, 5, 7), consistency(hashes, 6, 7)):
        with pytest.raises(ProofInvalid):
            early.cosign(fork, proof)
    late.cosign(fork, consistency(hashes, 5, 7))  # this one saw the fork first: now the honest log is the strange one
    with pytest.raises(ProofInvalid):
        late.cosign(honest, tree.consistency(7))


def test_the_procedure_leaves_the_stolen_keys_behind_and_says_what_stands(
    committed_db: CommittedDatabase, sequencer: Sequencer, signer: Signer, thief: Signer
) -> None:
    witnessed = signer.head()[1]
    fork, _ = _forked(committed_db, thief)
    append(2)
    sequencer.run_once()
    with pytest.raises(Conflict, match="not this database's history"):
        recovery.standing_head(fork)
    with pytest.raises(BadInput, match="not a checkpoint of the log"):
        recovery.standing_head(witnessed.replace("\n5\n", "\n4\n"))
    stands = recovery.standing_head(witnessed)
    successor = shards.order_closing(reason="compromise", stands=stands, by=LAYLA)
    sequencer.run_once()
    assert sequencer.finished
    following = Sequencer(committed_db.url(database.SEQUENCER), signer.opened(successor), log_id=2)
    following.run_once()
    following.close()
    opened = "SELECT entry FROM audit.entry e JOIN audit.log_state s USING (event_id) WHERE s.log_id = 2"
    told = json.loads(execute(committed_db.admin_url, opened)[0][0])["facts"]["previous"]
    assert (told["reason"], told["stands"]["size"], told["stands"]["note"]) == ("compromise", 5, witnessed)
    fresh = keyring(queries.fetch, 2).valid_at(1)
    assert not {vkey.public_key for vkey in fresh} & {vkey.public_key for vkey in thief.vkeys}
    assert not list(signer._state.glob("*.key"))
