"""A16: a second sequencer over the same log."""

from __future__ import annotations

import pytest

from audit.sequencer import AlreadyRunning, Sequencer
from audit.signer import Signer
from config.stack import database
from tests.conftest import CommittedDatabase


def test_a_second_sequencer_is_refused(committed_db: CommittedDatabase, sequencer: Sequencer, signer: Signer) -> None:
    sequencer.run_once()
    with pytest.raises(AlreadyRunning):
        Sequencer(committed_db.url(database.SEQUENCER), signer).run_once()
    sequencer.close()
    second = Sequencer(committed_db.url(database.SEQUENCER), signer)
    second.run_once()
    second.close()
