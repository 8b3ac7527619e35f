"""Fixtures of the attacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.processes import Processes
from tests.conftest import CommittedDatabase


@pytest.fixture
def processes(committed_db: CommittedDatabase, tmp_path: Path, subject_keys: str) -> Iterator[Processes]:
    """The log's real processes; the signer runs."""
    made = Processes(committed_db, tmp_path, subject_keys)
    made.signer()
    yield made
    made.close()
