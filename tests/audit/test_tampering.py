"""Someone with full power over the database changes the record: verification finds it, the signer stays firm.

Attacks A3, A4, A6, A7, A8, A9 and A19 of the design.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from audit import checks, posture, queries
from audit.merkle.tree import leaf_hash
from audit.sequencer import LogFrozen, Sequencer
from audit.signer import Signer, SignerRefusal, SignerUnavailable
from config.stack import database
from tests.audit.story import ORIGIN, append, as_attacker, execute, verdict
from tests.conftest import CommittedDatabase, Server, use_database


@pytest.fixture
def log_of_600(committed_db: CommittedDatabase, sequence: Callable[[], None]) -> CommittedDatabase:
    """More than two full tiles, several checkpoints."""
    for amount in (10, 290, 298):
        append(amount)
        sequence()
    return committed_db


def test_an_untouched_log_verifies(log_of_600: CommittedDatabase, signer: Signer) -> None:
    result = verdict(signer)
    assert result.findings == []
    assert (result.outcome, result.size) == ("verified", 600)


@pytest.mark.parametrize(
    ("attack", "found"),
    [
        (
            "UPDATE audit.entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'model', 'modem'), 'UTF8')"
            " WHERE id = 300",
            "hash",
        ),
        ("UPDATE audit.event SET subject = 'model:other' WHERE leaf_index = 300", "list shows something else"),
        ("UPDATE audit.event SET recorded_at = recorded_at - interval '1 day' WHERE leaf_index = 9", "something else"),
        ("DELETE FROM audit.event WHERE leaf_index = 7", "list does not show"),
        ("DELETE FROM audit.entry WHERE id = 300", "bytes are missing"),
        (
            "WITH gone AS (DELETE FROM audit.leaf WHERE leaf_index = 300 RETURNING entry_id)"
            " DELETE FROM audit.entry WHERE id IN (SELECT entry_id FROM gone)",
            "is missing",
        ),
        ("UPDATE audit.leaf SET leaf_hash = sha256('x') WHERE leaf_index = 4", "hash"),
        (
            "UPDATE audit.tile SET hashes = set_byte(hashes, 9, get_byte(hashes, 9) # 1) WHERE level = 0 AND idx = 1",
            "tile 0/1",
        ),
        ("DELETE FROM audit.tile WHERE level = 0 AND idx = 0", "tile 0/0"),
        ("UPDATE audit.checkpoint SET root = sha256('x') WHERE size = 12", "checkpoint 12"),
        ("UPDATE audit.checkpoint SET note = replace(note, 'log', 'lag') WHERE size = 12", "checkpoint 12"),
        (
            "UPDATE audit.payload SET body = set_byte(body, 20, get_byte(body, 20) # 1) WHERE field = 'actor.name' AND ctid ="
            " (SELECT min(ctid) FROM audit.payload WHERE field = 'actor.name')",
            "not the one that was recorded",
        ),
        ("DELETE FROM audit.payload WHERE field = 'reason'", "missing without an erasure"),
        (
            "UPDATE audit.leaf SET leaf_index = CASE leaf_index WHEN 20 THEN -1 ELSE 20 END WHERE leaf_index IN (20)",
            "missing",
        ),
    ],
)
def test_an_edit_with_triggers_switched_off_is_found_and_named(
    log_of_600: CommittedDatabase, signer: Signer, attack: str, found: str
) -> None:
    if "-1" in attack:
        execute(log_of_600.admin_url, "ALTER TABLE audit.leaf DROP CONSTRAINT leaf_leaf_index_check")
    as_attacker(log_of_600.admin_url, attack)
    result = verdict(signer)
    assert result.outcome == "failed"
    assert any(found in finding for finding in result.findings), result.findings


def test_two_swapped_entries_are_found(log_of_600: CommittedDatabase, signer: Signer) -> None:
    swap = """
        UPDATE audit.leaf l SET entry_id = o.entry_id, leaf_hash = o.leaf_hash FROM audit.leaf o
        WHERE (l.leaf_index, o.leaf_index) IN ((30, 31), (31, 30))
    """
    execute(log_of_600.admin_url, "ALTER TABLE audit.leaf DROP CONSTRAINT leaf_log_id_entry_id_key")
    as_attacker(log_of_600.admin_url, swap)
    assert verdict(signer).outcome == "failed"


def test_a_full_rewrite_without_the_key_fails_at_the_signatures(log_of_600: CommittedDatabase, signer: Signer) -> None:
    first = execute(log_of_600.admin_url, "SELECT entry FROM audit.entry WHERE id = 600")[0][0]
    forged = first.replace(b'"number":297', b'"number":298')
    as_attacker(
        log_of_600.admin_url,
        f"UPDATE audit.entry SET entry = '\\x{forged.hex()}' WHERE id = 600",
        f"UPDATE audit.leaf SET leaf_hash = '\\x{leaf_hash(forged).hex()}' WHERE entry_id = 600",
    )
    result = verdict(signer)
    assert any("checkpoint 600" in finding for finding in result.findings)
    assert any("signer" in finding for finding in result.findings)


def _truncate_tail(own: CommittedDatabase, size: int) -> None:
    as_attacker(
        own.admin_url,
        f"DELETE FROM audit.checkpoint WHERE size > {size}",
        f"DELETE FROM audit.event WHERE leaf_index >= {size}",
        "DELETE FROM audit.payload p USING audit.entry e, audit.leaf l WHERE p.event_id = e.event_id"
        f" AND l.entry_id = e.id AND l.leaf_index >= {size}",
        f"DELETE FROM audit.entry e USING audit.leaf l WHERE l.entry_id = e.id AND l.leaf_index >= {size}",
        f"DELETE FROM audit.leaf WHERE leaf_index >= {size}",
        f"DELETE FROM audit.tile WHERE (idx + 1) * 256 > {size} AND level = 0",
    )


def test_a_tail_cut_off_everywhere_is_found_by_the_signer_and_by_a_kept_checkpoint(
    log_of_600: CommittedDatabase, signer: Signer
) -> None:
    kept = execute(log_of_600.admin_url, "SELECT note FROM audit.checkpoint WHERE size = 600")[0][0]
    _truncate_tail(log_of_600, 302)
    inside = verdict(None)
    assert (inside.outcome, inside.findings) == ("unknown", [])
    assert any("600" in finding for finding in verdict(signer).findings)
    assert any("kept outside" in finding for finding in verdict(None, heads=[kept]).findings)


def test_a_restored_backup_is_never_signed_again_even_after_it_overtakes(
    log_of_600: CommittedDatabase, sequencer: Sequencer, signer: Signer
) -> None:
    sequencer.close()
    _truncate_tail(log_of_600, 302)
    restarted = Sequencer(log_of_600.url(database.SEQUENCER), signer)
    append(400)
    with pytest.raises(LogFrozen, match="signed 600"):
        restarted.run_once()
    assert execute(log_of_600.admin_url, "SELECT max(leaf_index) FROM audit.leaf")[0][0] == 301
    assert queries.log_state().state == "failed"
    root = restarted._stored(302).root()
    with pytest.raises(SignerRefusal, match="after one of 600") as rollback:
        signer.sign(302, root, [])
    assert rollback.value.code == "rollback"
    with pytest.raises(SignerRefusal) as fork:
        signer.sign(702, root, [root])
    assert fork.value.code == "fork"
    with pytest.raises(SignerRefusal, match="another root"):
        signer.sign(600, root, [])
    restarted.close()


def test_a_signer_that_lost_its_memory_is_not_trusted(
    log_of_600: CommittedDatabase, sequencer: Sequencer, signer: Signer, tmp_path: Path
) -> None:
    sequencer.close()
    fresh = Signer(tmp_path / "fresh", ORIGIN)
    with pytest.raises(LogFrozen):
        Sequencer(log_of_600.url(database.SEQUENCER), fresh).run_once()
    assert any("keys" in finding for finding in verdict(fresh).findings)
    fresh.close()
    signer.close()
    (tmp_path / "signer-state" / "head.json").unlink()
    with pytest.raises(SignerUnavailable, match=r"head\.json"):
        Signer(tmp_path / "signer-state", ORIGIN)


def test_the_signer_refuses_a_state_that_others_can_read_or_that_is_in_use(tmp_path: Path) -> None:
    first = Signer(tmp_path / "s", ORIGIN)
    with pytest.raises(SignerUnavailable, match="another signer"):
        Signer(tmp_path / "s", ORIGIN)
    first.close()
    with pytest.raises(SignerUnavailable, match="belongs to the log"):
        Signer(tmp_path / "s", "other/log").close()
    assert (tmp_path / "s" / "ed25519.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    (tmp_path / "s").chmod(0o755)
    with pytest.raises(SignerUnavailable, match="0700"):
        Signer(tmp_path / "s", ORIGIN)
    shutil.rmtree(tmp_path / "s")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("ALTER TABLE audit.entry_1 DISABLE TRIGGER append_only_rows", "append_only_rows on audit.entry_1"),
        ("DROP TRIGGER append_only_truncate ON audit.leaf", "append_only_truncate on audit.leaf"),
        ("GRANT UPDATE ON audit.entry TO countersign_app", "countersign_app has UPDATE"),
        ("GRANT INSERT (created_at) ON audit.entry TO countersign_app", "countersign_app has INSERT"),
        ("GRANT SELECT ON audit.entry TO PUBLIC", "everybody has SELECT"),
        ("ALTER TABLE audit.tile OWNER TO countersign_app", "belongs to countersign_app"),
        (
            "CREATE OR REPLACE FUNCTION audit.require_entry() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'",
            "require_entry",
        ),
        ("ALTER TABLE governance_user DISABLE TRIGGER governed_entry", "governed_entry on public.governance_user"),
    ],
)
def test_a_weakened_database_is_found_though_no_row_changed(
    log_of_600: CommittedDatabase, signer: Signer, change: str, found: str
) -> None:
    execute(log_of_600.admin_url, change)
    result = verdict(signer)
    assert result.outcome == "failed"
    assert any(found in finding for finding in result.findings), result.findings


def test_the_runtime_role_may_boot_and_the_owner_and_the_superuser_may_not(
    committed_db: CommittedDatabase, postgres_server: Server
) -> None:
    posture.refuse_if_owner()
    for url in (committed_db.url(database.OWNER), committed_db.admin_url, committed_db.url(database.SEQUENCER)):
        use_database(url)
        if url == committed_db.url(database.SEQUENCER):
            posture.refuse_if_owner()
            continue
        with pytest.raises(ImproperlyConfigured, match="must not serve"):
            posture.refuse_if_owner()
    use_database(committed_db.url())


def test_audit_verify_exits_0_1_or_2(
    log_of_600: CommittedDatabase, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "signer_for_reading", lambda: signer)
    for expected, attack in ((0, ""), (1, "UPDATE audit.event SET subject = 'model:x' WHERE leaf_index = 5")):
        if attack:
            as_attacker(log_of_600.admin_url, attack)
        with pytest.raises(SystemExit) as caught:
            call_command("audit_verify", "--record")
        assert caught.value.code == expected
        assert queries.log_state().state == ("failed" if expected else "verified")


def test_audit_verify_does_not_say_fine_when_it_could_not_ask(log_of_600: CommittedDatabase, tmp_path: Path) -> None:
    for arguments in ([], ["--checkpoint", str(tmp_path / "missing")], ["--vkey", "nonsense"]):
        with pytest.raises(SystemExit) as caught:
            call_command("audit_verify", *arguments)
        assert caught.value.code == 2
    assert checks.self_check() == "unknown"
    assert queries.log_state().state == "unknown"
