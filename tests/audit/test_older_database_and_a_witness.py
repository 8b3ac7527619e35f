"""A database is put back to an older state: neither the signer nor a real witness goes along."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from audit.log import log_id
from audit.publisher import Publisher
from audit.sequencer import LogFrozen, Sequencer
from audit.signer import Signer
from audit.witnesses import queries
from config.stack import database
from tests.audit.outside import RealWitness
from tests.audit.story import ORIGIN, append, as_attacker, execute
from tests.conftest import CommittedDatabase


def _put_back(committed_db: CommittedDatabase, size: int) -> None:
    """What an older backup holds: everything of the log up to ``size``."""
    late = f"(SELECT entry_id FROM audit.leaf WHERE leaf_index >= {size})"
    event = f"(SELECT event_id FROM audit.entry WHERE id IN {late})"
    as_attacker(
        committed_db.admin_url,
        f"DELETE FROM audit.payload WHERE event_id IN {event}",
        f"DELETE FROM audit.entry WHERE id IN {late}",
        *[f"DELETE FROM audit.{table} WHERE size > {size}" for table in ("cosignature", "checkpoint", "anchor")],
        *[f"DELETE FROM audit.{table} WHERE leaf_index >= {size}" for table in ("event", "leaf")],
        f"DELETE FROM audit.tile WHERE (idx + 1) * 256 > {size}",
    )


def test_a_restored_older_database_is_refused_by_the_signer_and_by_the_witness(
    committed_db: CommittedDatabase,
    sequence: Callable[[], None],
    sequencer: Sequencer,
    signer: Signer,
    witness: RealWitness,
    publisher: Publisher,
    follow: Callable[..., None],
    tmp_path: Path,
) -> None:
    follow({"real": (witness.vkey, witness.url)})
    append(3)
    sequence()
    publisher.run_once()
    shutil.copytree(tmp_path / "signer-state", tmp_path / "restored-signer")
    append(7)
    sequence()
    publisher.run_once()
    assert queries.status(log_id())[0].size == 12
    _put_back(committed_db, 5)

    sequencer.close()
    honest = Sequencer(committed_db.url(database.SEQUENCER), signer)
    with pytest.raises(LogFrozen):
        honest.run_once()
    honest.close()

    # The signer's state was put back too: only the witness remembers.
    forgetful = Signer(tmp_path / "restored-signer", ORIGIN)
    attackers = Sequencer(committed_db.url(database.SEQUENCER), forgetful)
    append(2)
    attackers.run_once()
    assert forgetful.head()[0].size == 7
    publisher.run_once()
    state = queries.status(log_id())[0]
    assert state.state == "conflict"
    assert "12 entries, more than this log has" in state.sentence

    # It grows past the size that the witness knows: the witness refuses the proof.
    append(20)
    attackers.run_once()
    late = Publisher(committed_db.url(database.SEQUENCER))
    publisher.close()
    late.run_once()
    state = queries.status(log_id())[0]
    assert (state.state, state.size) == ("conflict", 5)
    assert "(422)" in state.sentence
    assert witness.evidence()
    raised = execute(committed_db.url(), "SELECT sentence FROM audit.alert WHERE subject = 'alert:witness/real'")
    assert len(raised) == 1
    late.close()
    attackers.close()
    forgetful.close()
