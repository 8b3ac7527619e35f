"""Every log is verified, not only the newest: last year's too, what came of a lost one, and which are detached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from audit import checks, current_log, queries, retention, shards
from audit.all_logs import verify_all
from audit.entry_copies import EntryCopies
from audit.sequencer import Sequencer
from audit.signer import Signer
from config.stack import database
from tests import personas
from tests.audit.story import LAYLA, ORIGIN, append, as_attacker
from tests.conftest import CommittedDatabase

NEXT = f"{ORIGIN}.2"
EDIT = "UPDATE audit.event SET subject = 'model:x' WHERE log_id = 1 AND leaf_index = 3"


@pytest.fixture
def two(
    committed_db: CommittedDatabase,
    sequencer: Sequencer,
    signer: Signer,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Sequencer]:
    """A closed log and its successor, whose sequencer this is; the governed row of an account began in the first."""
    settings.LOG_ORIGIN = ORIGIN
    monkeypatch.setattr(checks, "signer_for_reading", lambda: signer)
    personas.get("noor")
    append(3)
    sequencer.run_once()
    shards.order_closing(reason="operator", by=LAYLA)
    sequencer.run_once()
    assert sequencer.finished
    current_log.forget()
    second = Sequencer(committed_db.url(database.SEQUENCER), signer.opened(NEXT), log_id=2)
    yield second
    second.close()
    current_log.forget()


def _exit(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        call_command("audit_verify", *arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_change_to_a_closed_log_turns_every_page_red_and_names_the_log(
    committed_db: CommittedDatabase, two: Sequencer, client_for: Callable[[str], Client]
) -> None:
    two.run_once()
    assert checks.self_check() == "verified", checks.newest()
    as_attacker(committed_db.admin_url, EDIT)
    assert checks.self_check() == "failed"
    assert queries.log_state().finding.startswith(f"{ORIGIN}: entry #3: the list shows something else")
    client = client_for("noor")
    assert f"{ORIGIN}: entry #3" in client.get("/account").content.decode()
    page = client.get("/verify").content.decode()
    assert f"The log {ORIGIN}" in page


def test_red_stays_red_when_a_new_log_begins(committed_db: CommittedDatabase, two: Sequencer) -> None:
    as_attacker(committed_db.admin_url, EDIT)
    assert checks.self_check() == "failed"
    two.run_once()
    current_log.forget()
    assert queries.log_state().state == "failed"


def test_the_command_prints_a_section_for_each_log_and_takes_kept_heads_of_each(
    two: Sequencer, signer: Signer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    kept.write_text(signer.head()[1])
    assert _exit("--checkpoint", str(kept)) == 0  # the successor waits for its first entry
    assert "waits for its first entry" in capsys.readouterr().out
    two.run_once()
    assert _exit("--checkpoint", str(kept), "--vkey", str(signer.vkeys[0]), "--record") == 0
    told = capsys.readouterr().out
    assert f"log 1: {ORIGIN} (closed)" in told
    assert f"log 2: {NEXT} (open)" in told
    assert told.rstrip().endswith("all logs: verified")
    assert _exit("--log", "1", "--checkpoint", str(kept)) == 0
    assert f"log 2: {NEXT}" not in capsys.readouterr().out
    assert _exit("--log", "7") == 2
    kept.write_text(signer.head()[1].replace(ORIGIN, "other/log"))
    assert _exit("--checkpoint", str(kept)) == 1


def test_a_detached_log_is_named_and_only_an_entry_makes_it_detached(
    committed_db: CommittedDatabase,
    two: Sequencer,
    signer: Signer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    two.run_once()
    url, size = committed_db.admin_url, signer.head()[0].size
    EntryCopies(tmp_path).extend(queries.fetch, 1, size)
    (tmp_path / "1" / "checkpoint").write_text(signer.head()[1])
    retention.detach(ORIGIN, tmp_path / "1", url=url, by=LAYLA, now=datetime(2040, 1, 1, tzinfo=UTC))
    two.run_once()
    assert _exit() == 0, capsys.readouterr().out
    assert "detached, verify its export · as entry #2 of log 2 says" in capsys.readouterr().out
    as_attacker(url, "UPDATE audit.log_state SET event_id = gen_random_uuid() WHERE kind = 'detached'")
    assert verify_all(signer).findings == [f"{ORIGIN}: it is marked as detached, and no numbered entry says so"]


def test_logs_that_do_not_follow_one_another_are_found(
    committed_db: CommittedDatabase, two: Sequencer, signer: Signer
) -> None:
    two.run_once()
    append(1)
    two.run_once()
    assert verify_all(signer).outcome == "verified"
    as_attacker(committed_db.admin_url, "DELETE FROM audit.log WHERE log_id = 1")
    assert "the log with the number 1 is missing" in _found(signer)
    as_attacker(committed_db.admin_url, f"INSERT INTO audit.log (log_id, origin) VALUES (1, '{ORIGIN}')")
    assert verify_all(signer).outcome == "verified"
    as_attacker(
        committed_db.admin_url,
        "DELETE FROM audit.log WHERE log_id = 2",
        "DELETE FROM audit.log_state WHERE log_id = 2",
    )
    finding = f"the signer has signed 3 entries of the log {NEXT}, which the database does not have"
    assert finding in _found(signer.opened(NEXT))  # as a signer in another process answers: with its newest log


def _found(signer: Signer) -> str:
    survey = verify_all(signer)
    assert survey.outcome == "failed"
    return "\n".join(survey.findings)
