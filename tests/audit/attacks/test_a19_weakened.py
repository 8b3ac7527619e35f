"""A19: a trigger disabled, a grant widened, a role made a member of the owner, and nothing else done."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from audit import posture
from tests.audit.story import execute
from tests.conftest import CommittedDatabase

#: What a privileged person may have done in advance, and the words that name it.
WEAKENED = {
    "ALTER TABLE audit.entry_1 DISABLE TRIGGER append_only_rows": "append_only_rows on audit.entry_1",
    "ALTER TABLE audit.leaf ENABLE REPLICA TRIGGER leaves_in_order": "leaves_in_order on audit.leaf",
    "DROP TRIGGER append_only_truncate ON audit.leaf": "append_only_truncate on audit.leaf is missing",
    "ALTER TABLE audit.checkpoint DISABLE TRIGGER ALL": "checkpoint",
    "ALTER TABLE governance_user DISABLE TRIGGER governed_entry": "governed_entry on public.governance_user",
    "CREATE FUNCTION audit.more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    "CREATE TRIGGER swallow BEFORE INSERT ON audit.entry_1 FOR EACH ROW EXECUTE FUNCTION audit.more()": "swallow",
    "CREATE RULE silent AS ON INSERT TO audit.self_check DO INSTEAD NOTHING": "the rule silent",
    "CREATE POLICY hidden ON audit.event USING (false)": "the policy hidden",
    "ALTER TABLE audit.event ENABLE ROW LEVEL SECURITY": "row security",
    "CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
    "CREATE EVENT TRIGGER lurking ON ddl_command_end EXECUTE FUNCTION public.on_ddl()": "lurking",
    "GRANT UPDATE ON audit.entry TO countersign_app": "countersign_app has UPDATE on audit.entry",
    "GRANT INSERT (created_at) ON audit.entry TO countersign_app": "has INSERT on audit.entry (created_at)",
    "GRANT SELECT ON audit.entry TO PUBLIC": "everybody has SELECT on audit.entry",
    "GRANT TRUNCATE ON governance_user TO countersign_app": "countersign_app has TRUNCATE on public.governance_user",
    "GRANT EXECUTE ON FUNCTION audit.create_partition TO countersign_app": "may execute audit.create_partition",
    "GRANT CREATE ON SCHEMA audit TO countersign_app": "countersign_app has CREATE on the schema audit",
    "ALTER DEFAULT PRIVILEGES FOR ROLE audit_owner GRANT UPDATE ON TABLES TO countersign_app": "by default",
    "ALTER TABLE audit.tile OWNER TO countersign_app": "belongs to countersign_app",
    "CREATE OR REPLACE FUNCTION audit.require_entry() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'": (
        "require_entry"
    ),
    "ALTER FUNCTION audit.require_entry() SECURITY INVOKER": "require_entry",
    "ALTER TABLE audit.entry ALTER created_at SET DEFAULT '2020-01-01'": "the column audit.entry.created_at",
    "ALTER TABLE audit.entry ALTER txid SET DEFAULT '5'": "the column audit.entry.txid",
    "ALTER TABLE audit.entry ALTER leaf_hash DROP EXPRESSION": "the column audit.entry.leaf_hash",
    "ALTER TABLE audit.leaf DROP CONSTRAINT leaf_log_id_entry_id_key": "UNIQUE (log_id, entry_id) is missing",
    "ALTER DATABASE {database} SET session_replication_role = replica": "session_replication_role",
    "CREATE TABLE audit.entry_77 (LIKE audit.entry)": "audit.entry_77",
}
#: Roles belong to the whole server: undone at the end.
OF_ROLES = {
    "GRANT audit_owner TO countersign_app": ("is a member of audit_owner", "REVOKE audit_owner FROM countersign_app"),
    "ALTER ROLE countersign_app SUPERUSER": ("superuser", "ALTER ROLE countersign_app NOSUPERUSER"),
    "ALTER ROLE countersign_app BYPASSRLS": ("bypasses row security", "ALTER ROLE countersign_app NOBYPASSRLS"),
}


def _found(change: str, own: CommittedDatabase) -> list[str]:
    """What the comparison says with the change; the change itself is rolled back."""
    with psycopg.connect(own.admin_url) as connection:

        def fetch(sql: str, values: Any) -> list[tuple[Any, ...]]:
            return connection.execute(sql, values or None).fetchall()

        connection.execute(change.format(database=own.name))
        found = posture.findings(fetch)
        connection.rollback()
    return found


def test_every_way_to_weaken_the_database_in_advance_is_named(committed_db: CommittedDatabase) -> None:
    assert posture.findings(posture.fetch) == []
    missed = {}
    for change, words in WEAKENED.items():
        found = _found(change, committed_db)
        if not any(words in finding for finding in found):
            missed[change] = found
    assert missed == {}


@pytest.mark.parametrize("change", OF_ROLES)
def test_a_role_that_was_made_more_powerful_is_named(committed_db: CommittedDatabase, change: str) -> None:
    words, back = OF_ROLES[change]
    try:
        execute(committed_db.admin_url, change)
        assert any(words in finding for finding in posture.findings(posture.fetch))
    finally:
        execute(committed_db.admin_url, back)
