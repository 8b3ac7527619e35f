"""A18: transactions that roll back."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from audit.signer import Signer
from tests.audit.story import COUNTS, INSERT, append, execute, verdict
from tests.conftest import CommittedDatabase


def test_rollbacks_leave_gaps_in_ids_and_none_in_the_log(
    committed_db: CommittedDatabase, sequence: Callable[[], None], signer: Signer
) -> None:
    for _ in range(4):
        append()
        with psycopg.connect(committed_db.url()) as doomed:
            doomed.execute(INSERT)
            doomed.rollback()
    sequence()
    assert execute(committed_db.admin_url, COUNTS) == [(6, 6, 6)]
    assert execute(committed_db.admin_url, "SELECT max(id) > 6 FROM audit.entry") == [(True,)]
    assert verdict(signer).outcome == "verified"
