"""A6: the newest entries are cut off everywhere in the database."""

from __future__ import annotations

from collections.abc import Callable

from audit.signer import Signer
from tests.audit.story import append, cut_off, execute, verdict
from tests.conftest import CommittedDatabase


def test_a_tail_cut_off_everywhere_is_found_by_the_signer_and_by_a_kept_checkpoint(
    committed_db: CommittedDatabase, sequence: Callable[[], None], signer: Signer
) -> None:
    append(300)
    sequence()
    append(298)
    sequence()
    kept = execute(committed_db.admin_url, "SELECT note FROM audit.checkpoint WHERE size = 600")[0][0]
    cut_off(committed_db, 302)
    inside = verdict(None)
    assert (inside.outcome, inside.findings) == ("unknown", [])
    assert any("600" in finding for finding in verdict(signer).findings)
    assert any("kept outside" in finding for finding in verdict(None, heads=[kept]).findings)
