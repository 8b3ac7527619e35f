"""Who may do what to the log is compared with a committed manifest: at start, on demand and in every verification."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from audit import catalogue, checks, posture, queries
from config.stack import database
from tests.audit.story import as_attacker, execute
from tests.conftest import CommittedDatabase, Server, use_database


@pytest.mark.usefixtures("committed_db")
def test_the_committed_manifest_is_what_the_migrations_make() -> None:
    found = catalogue.collect(posture.fetch, posture.governed_tables())
    renew = "the schema changed: run `manage.py audit_manifest --write`, read what changed and commit it"
    assert catalogue.text(found) == catalogue.FILE.read_text(), renew


@pytest.mark.usefixtures("committed_db")
def test_a_process_that_starts_on_a_sound_database_records_nothing() -> None:
    assert checks.check_posture() == []
    assert checks.newest() is None


def test_a_process_that_starts_on_a_weakened_database_runs_and_turns_the_log_red(
    committed_db: CommittedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    execute(committed_db.admin_url, "GRANT UPDATE ON audit.entry TO countersign_app")
    for _ in range(2):
        assert any("countersign_app has UPDATE" in finding for finding in checks.check_posture())
    assert "countersign_app has UPDATE" in caplog.text
    assert queries.log_state().state == "failed"
    count = "SELECT count(*) FROM audit.self_check"
    assert execute(committed_db.admin_url, count) == [(1,)], "said once, not at each start"


def test_audit_posture_exits_0_or_1_and_names_the_deviation(
    committed_db: CommittedDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("audit_posture")
    as_attacker(committed_db.admin_url, "ALTER TABLE audit.tile DISABLE TRIGGER append_only_rows")
    with pytest.raises(SystemExit) as caught:
        call_command("audit_posture")
    assert caught.value.code == 1
    assert "the trigger append_only_rows on audit.tile" in capsys.readouterr().out


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
