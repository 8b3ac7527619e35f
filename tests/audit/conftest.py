"""Fixtures of the log's tests: a signer whose state the test can reach, and a sequencer over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audit.sequencer import Sequencer
from audit.signer import Signer
from config.stack import database
from tests.audit.story import ORIGIN
from tests.conftest import CommittedDatabase


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    """A signer in this process."""
    made = Signer(tmp_path / "signer-state", ORIGIN)
    yield made
    made.close()


@pytest.fixture
def sequencer(committed_db: CommittedDatabase, signer: Signer) -> Iterator[Sequencer]:
    """The sequencer of the test's database."""
    made = Sequencer(committed_db.url(database.SEQUENCER), signer)
    yield made
    made.close()


@pytest.fixture
def sequence(sequencer: Sequencer) -> Callable[[], None]:
    """Runs the sequencer and the signer once."""

    def run() -> None:
        sequencer.run_once()

    return run
