"""A11: whoever holds the log's keys shows two histories to two readers."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.log import log_id
from audit.merkle.checkpoint import Head, verify
from audit.outgoing import NotDelivered
from audit.publisher import Publisher
from audit.signer import Signer
from audit.witnesses import queries
from audit.witnesses.client import Request, Target, add_checkpoint
from config.stack import database
from tests.audit.outside import RealWitness
from tests.audit.story import append, execute
from tests.conftest import CommittedDatabase


def _other_history(signer: Signer, tmp_path: Path) -> tuple[str, Head]:
    """A checkpoint of five other entries that the log's own keys signed: a copy of the signer without its memory."""
    shutil.copytree(tmp_path / "signer-state", tmp_path / "stolen")
    thief = Signer(tmp_path / "stolen", signer.origin)
    head = Head(signer.origin, 5, b"\5" * 32)
    note = thief.sign(head.size, head.root, [])
    thief.close()
    assert verify(note, signer.vkeys) == head
    return note, head


def test_a11_a_witness_cosigns_one_of_two_trees_of_one_size_and_keeps_the_other_as_evidence(
    sequence: Callable[[], None],
    signer: Signer,
    tmp_path: Path,
    witness: RealWitness,
    publisher: Publisher,
    follow: Callable[..., None],
) -> None:
    """A11: a second valid note for one size is refused by the witness, which keeps both as proof."""
    forged, head = _other_history(signer, tmp_path)
    follow({"real": (witness.vkey, witness.url)})
    append(3)
    sequence()
    assert publisher.run_once() == []
    assert signer.head()[0].size == head.size
    with pytest.raises(NotDelivered) as refused:
        add_checkpoint(Target("real", witness.vkey, witness.url), Request(head, forged, head.size, []))
    assert refused.value.state == "conflict"
    kept = json.dumps(witness.evidence())
    assert json.dumps(forged)[1:-1] in kept or base64.b64encode(head.root).decode() in kept


def test_a11_a_witness_that_cosigned_another_history_is_a_finding_here(
    committed_db: CommittedDatabase,
    sequence: Callable[[], None],
    signer: Signer,
    tmp_path: Path,
    witness: RealWitness,
    publisher: Publisher,
    follow: Callable[..., None],
) -> None:
    """A11: the witness was shown the other tree first; our own push says so instead of going on."""
    follow({"real": (witness.vkey, witness.url)})
    forged, head = _other_history(signer, tmp_path)
    assert add_checkpoint(Target("real", witness.vkey, witness.url), Request(head, forged, 0, []))
    append(3)
    sequence()
    publisher.run_once()
    state = queries.status(log_id())[0]
    assert state.state == "conflict"
    assert queries.newest_witnessed(log_id()) is None
    assert execute(committed_db.url(database.APP), "SELECT count(*) FROM audit.cosignature") == [(0,)]
    raised = execute(committed_db.url(database.APP), "SELECT subject FROM audit.alert WHERE state = 'raised'")
    assert ("alert:witness/real",) in raised
