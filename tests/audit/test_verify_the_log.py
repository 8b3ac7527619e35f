"""Verifying the whole log: the command, its exit codes, resuming, several processes, and what every page then says."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import signing
from django.core.management import CommandError, call_command
from django.test import Client

from audit import checks, queries
from audit.management.commands.audit_verify import Progress
from audit.verification import pool, ranges, resumption, whole
from audit.verification.forest import Forest
from tests.audit.sealed import SealedLog, append

_FEW = (
    "DELETE FROM audit.payload WHERE field = 'reason'"
    " AND event_id IN (SELECT event_id FROM audit.event WHERE leaf_index BETWEEN 250 AND 260)"
)
EDIT = "UPDATE audit.event SET subject = 'model:x' WHERE leaf_index = {}"


@pytest.fixture
def asked(sealed_log: SealedLog, monkeypatch: pytest.MonkeyPatch) -> SealedLog:
    """The command asks the signer of the test."""
    monkeypatch.setattr(checks, "signer_for_reading", lambda: sealed_log.signer)
    return sealed_log


def _exit(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        call_command("audit_verify", *arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_audit_verify_exits_0_or_1_and_names_the_first_difference(
    asked: SealedLog, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _exit("--record") == 0
    assert queries.log_state().state == "verified"
    asked.attack(EDIT.format(5))
    assert _exit("--record") == 1
    assert queries.log_state().state == "failed"
    assert "first difference: entry #5: the list shows something else" in capsys.readouterr().out


def test_audit_verify_exits_2_when_it_could_not_ask(sealed_log: SealedLog, tmp_path: Path) -> None:
    (tmp_path / "nonsense").write_bytes(b"\xff\xfe")
    for arguments in ([], ["--checkpoint", str(tmp_path / "missing")], ["--checkpoint", str(tmp_path / "nonsense")]):
        assert _exit(*arguments) == 2
    assert _exit("--vkey", "nonsense") == 2
    assert checks.self_check() == "unknown"
    assert queries.log_state().state == "unknown"


def test_a_checkpoint_kept_elsewhere_is_compared(asked: SealedLog, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text(asked.note(302))
    assert _exit("--checkpoint", str(kept)) == 0
    kept.write_text(asked.note(302).replace("302", "301"))
    assert _exit("--checkpoint", str(kept)) == 1


def test_several_processes_find_what_one_finds(sealed_log: SealedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = sealed_log.verify()
    monkeypatch.setattr(pool, "processes", lambda leaves: 2)
    monkeypatch.setattr(whole, "RANGE", 256)
    together = sealed_log.verify()
    assert (together.outcome, together.root, together.size) == (alone.outcome, alone.root, 600)
    sealed_log.attack(EDIT.format(20), EDIT.format(599), _FEW)
    monkeypatch.undo()
    alone = sealed_log.verify()
    monkeypatch.setattr(pool, "processes", lambda leaves: 2)
    monkeypatch.setattr(whole, "RANGE", 256)
    together = sealed_log.verify()
    assert sorted(together.findings) == sorted(alone.findings)
    assert together.findings[0].startswith("entry #20")


def test_a_process_that_dies_means_not_verified(asked: SealedLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "processes", lambda leaves: 1)
    monkeypatch.setattr(pool.Worker, "ask", _killed(pool.Worker.ask))
    assert _exit() == 2


def _killed(ask: Callable[..., Any]) -> Callable[..., Any]:
    def made(self: Any, task: Any) -> Any:
        self._process.kill()
        return ask(self, task)

    return made


def _interrupt(sealed_log: SealedLog, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is interrupted after two of its three ranges."""
    monkeypatch.setattr(whole, "RANGE", 256)

    def stop(done: int, _total: int) -> None:
        if done >= 600:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sealed_log.verify(progress=stop, state=state)


def test_an_interrupted_run_is_resumed_and_says_what_it_did_not_read(
    sealed_log: SealedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    _interrupt(sealed_log, state, monkeypatch)
    assert state.stat().st_mode & 0o077 == 0
    verdict = sealed_log.verify(state=state)
    assert (verdict.outcome, verdict.not_read, verdict.size) == ("verified", 256, 600)
    assert verdict.root == sealed_log.verify().root
    assert any("#0 to #255 were read by the run of" in step.detail for step in verdict.steps)
    assert not state.exists(), "the next run reads everything"


def test_a_resumed_run_still_finds_what_comes_after(
    sealed_log: SealedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    _interrupt(sealed_log, state, monkeypatch)
    sealed_log.attack(EDIT.format(400))
    assert sealed_log.verify(state=state).findings[0].startswith("entry #400")


def test_a_forged_state_is_not_believed(sealed_log: SealedLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    _interrupt(sealed_log, state, monkeypatch)
    good = state.read_text()

    def forged(**changes: Any) -> str:
        return signing.dumps(signing.loads(good, salt=resumption._SALT) | changes, salt=resumption._SALT)

    told = signing.loads(good, salt=resumption._SALT)
    others = ["00" * 32 + told["frontier"][0][64:], *told["frontier"][1:]]
    for text in (
        forged(frontier=others),
        forged(size=told["size"] + 1),
        forged(size="many"),
        forged(log=2),
        json.dumps(told) + good[good.index(":") :],
        "\x00",
    ):
        state.write_text(text)
        assert sealed_log.verify(state=state).not_read == 0, text
    state.write_text(good)
    sealed_log.attack("UPDATE audit.checkpoint SET note = replace(note, '302', '303') WHERE size = 302")
    assert sealed_log.verify(state=state).not_read == 0, "no checkpoint signs that frontier any more"


def test_a_resumed_result_is_not_recorded_for_every_page(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="did not read everything"):
        call_command("audit_verify", "--record", "--resume", str(tmp_path / "state"))


class _Screen:
    """A stream that is a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        self.text, self._terminal = "", terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere() -> None:
    for terminal, wanted in ((True, "\r"), (False, "\n")):
        screen = _Screen(terminal)
        shown = Progress(screen)  # type: ignore[arg-type]
        for done in range(0, 1001, 10):
            shown(done, 1000)
        assert screen.text.count(wanted) == (101 if terminal else 11)
        assert screen.text.rstrip().endswith("1,000 of 1,000 entries")


def test_the_root_at_every_size_is_that_of_the_reference() -> None:
    from hashlib import sha256

    from audit.merkle.tree import root_of

    leaves = [sha256(bytes([number % 256, number // 256])).digest() for number in range(1030)]
    forest = Forest(list(range(1, 1031)))
    for start in range(0, 1030, 512):
        part = leaves[start : start + 512]
        full = len(part) // 256 * 256
        tiles = [part[low : low + 256] for low in range(0, full, 256)]
        inside = {(start // 256) + number: b"".join(tile) for number, tile in enumerate(tiles)}
        roots = [root_of(tile) for tile in tiles]
        forest.take(ranges.RangeResult(start, start + len(part), roots, part[full:], inside))
    assert forest.roots == {size: root_of(leaves[:size]) for size in range(1031)}


def _top_bar(client: Client) -> str:
    return client.get("/account").content.decode()


def test_every_page_says_how_old_the_verification_is_and_links_to_it(
    asked: SealedLog, client_for: Callable[[str], Client]
) -> None:
    client = client_for("noor")
    assert "Log not verified yet" in _top_bar(client)
    assert checks.self_check() == "verified"
    page = _top_bar(client)
    assert "Log verified" in page
    assert "minutes ago" in page
    assert 'href="/verify"' in page
    assert 'class="alarm"' not in page


def test_a_verification_older_than_twice_its_interval_does_not_look_verified(
    asked: SealedLog, client_for: Callable[[str], Client]
) -> None:
    assert checks.self_check() == "verified"
    for age, state in ((timedelta(minutes=29), "verified"), (timedelta(minutes=31), "unknown")):
        seconds = age.total_seconds()
        asked.attack(f"UPDATE audit.self_check SET finished_at = now() - interval '{seconds} seconds'")
        assert queries.log_state().state == state
    page = _top_bar(client_for("noor"))
    assert "Log verified" not in page
    assert "Log not verified" in page
    asked.attack("UPDATE audit.self_check SET finished_at = now() + interval '1 day'")
    assert queries.log_state().state == "unknown", "a time in the future says nothing"


def test_tampering_is_a_banner_on_every_page_until_a_verification_holds_again_and_entries_keep_flowing(
    asked: SealedLog, client_for: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.attack(EDIT.format(5))
    assert checks.self_check() == "failed"
    client = client_for("noor")
    page = _top_bar(client)
    assert 'class="alarm" role="alert"' in page
    assert "entry #5" in page
    append(2)
    assert asked.read("SELECT count(*) > 600 FROM audit.entry") == [(True,)]
    with monkeypatch.context() as patch:
        patch.setattr(checks, "signer_for_reading", lambda: None)
        asked.attack("UPDATE audit.event SET subject = 'model:credit' WHERE leaf_index = 5")
        assert checks.self_check() == "unknown"
    assert 'class="alarm"' in _top_bar(client), "an unfinished verification explains nothing away"
    assert checks.self_check() == "verified"
    assert 'class="alarm"' not in _top_bar(client)
