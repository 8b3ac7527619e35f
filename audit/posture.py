"""Who may do what to the log, as the database has it: refuse to boot as an owner, and find widened grants.

The expected privileges are those of ``migrations/sql/*_grants.sql``; the expected functions are the migrations' text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from audit.models.governed import Governed
from audit.stored_tree import Fetch

OWNER = "audit_owner"
APPEND_ONLY = ("log", "key", "entry", "leaf", "tile", "checkpoint", "cosignature", "anchor", "payload", "self_check")
APPEND_ONLY += ("publication", "alert", "notice")
APPEND_ONLY += ("erased", "erased_key")
APPEND_ONLY += ("key_end", "log_state")
_READERS = ("countersign_app", "audit_sequencer", "audit_eraser", "audit_reader")
_INSERTS: dict[tuple[str, str], str] = {
    ("countersign_app", "entry"): "log_id event_id object_key entry",
    ("countersign_app", "payload"): "log_id event_id field subject salt key_id body",
    ("audit_eraser", "entry"): "log_id event_id object_key entry",
    ("audit_eraser", "payload"): "log_id event_id field subject salt key_id body",
    ("countersign_app", "self_check"): "log_id source outcome size root finding steps started_at",
    ("audit_sequencer", "self_check"): "log_id source outcome size root finding steps started_at",
    ("audit_sequencer", "leaf"): "log_id leaf_index entry_id leaf_hash",
    ("audit_sequencer", "tile"): "log_id level idx hashes root",
    ("audit_sequencer", "checkpoint"): "log_id size root note watermark",
    ("audit_sequencer", "cosignature"): "*",
    ("audit_sequencer", "anchor"): "log_id size kind token",
    ("audit_sequencer", "publication"): "log_id kind target state sentence size",
    ("countersign_app", "alert"): "event_id subject state sentence",
    ("countersign_app", "notice"): "alert_id channel",
    ("audit_sequencer", "event"): "*",
    ("audit_sequencer", "key"): "log_id vkey from_size event_id",
    ("audit_sequencer", "key_end"): "log_id vkey to_size event_id",
}
_EXTRA_TRIGGERS = {"leaf": "leaves_in_order", "checkpoint": "checkpoint_grows"}
_EXTRA_TRIGGERS |= {"erased": "erasure_has_entry", "erased_key": "erasure_has_entry"}
_FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION audit\.(\w+)\(.*?AS \$\$(.*?)\$\$;", re.S)

_RUNTIME = """
    SELECT current_user, r.rolsuper, r.rolcreaterole, r.rolreplication,
           to_regnamespace('audit') IS NULL,
           EXISTS (SELECT FROM pg_roles o WHERE o.rolname = 'audit_owner'
                   AND pg_has_role(current_user, o.oid, 'MEMBER')),
           (SELECT string_agg(c.relname, ', ') FROM pg_class c WHERE c.relnamespace = to_regnamespace('audit')
            AND c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')),
           (SELECT string_agg(c.relname, ', ') FROM pg_class c WHERE c.relname = ANY(%s) AND c.relkind IN ('r', 'p')
            AND pg_has_role(current_user, c.relowner, 'MEMBER'))
    FROM pg_roles r WHERE r.rolname = current_user
"""


def refuse_if_owner() -> None:
    """Raise ``ImproperlyConfigured`` when the role that serves could rewrite the log or drop its triggers.

    Called when the web server and each worker start; unlike an interrupted verification this never passes unknown.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RUNTIME, [governed_tables()])
        row = cursor.fetchone()
    role, superuser, creates_roles, replicates, missing, owner, writable, owned = row
    problems = [
        (
            missing,
            "the schema «audit» does not exist or is out of its reach: run `manage.py migrate` as the owner first",
        ),
        (superuser, "it is a superuser"),
        (creates_roles, "it may create roles"),
        (replicates, "it may replicate"),
        (owner, "it is a member of audit_owner"),
        (writable, f"it may change audit tables: {writable}"),
        (owned, f"it owns governed tables: {owned}"),
    ]
    found = "; ".join(sentence for bad, sentence in problems if bad)
    if found:
        raise ImproperlyConfigured(
            f"The database role {role} must not serve requests or run tasks: {found}. Set DATABASE_URL to the role "
            "countersign_app."
        )


def governed_tables() -> list[str]:
    """The tables of every ``Governed`` model that Django manages."""
    return sorted(
        model._meta.db_table for model in apps.get_models() if issubclass(model, Governed) and model._meta.managed
    )


def findings(fetch: Fetch) -> list[str]:
    """Every deviation of owners, grants, triggers and functions from what the migrations made; empty: none."""
    return [*_owners(fetch), *_grants(fetch), *_triggers(fetch), *_functions(fetch)]


def _owners(fetch: Fetch) -> Iterator[str]:
    sql = """
        SELECT 'schema audit', nspowner::regrole::text FROM pg_namespace WHERE nspname = 'audit'
        UNION ALL SELECT 'audit.' || relname, relowner::regrole::text FROM pg_class
        WHERE relnamespace = 'audit'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
        UNION ALL SELECT 'function audit.' || proname, proowner::regrole::text FROM pg_proc
        WHERE pronamespace = 'audit'::regnamespace
    """
    for name, owner in fetch(sql, []):
        if owner != OWNER:
            yield f"{name} belongs to {owner}, not to {OWNER}"
    for (role,) in fetch("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND rolsuper", [list(_READERS)]):
        yield f"{role} is a superuser"


def _grants(fetch: Fetch) -> Iterator[str]:
    sql = """
        SELECT grantee::regrole::text, relname, '*', privilege_type FROM pg_class, aclexplode(relacl)
        WHERE relnamespace = 'audit'::regnamespace AND relkind IN ('r', 'p')
        UNION ALL SELECT grantee::regrole::text, relname, attname, privilege_type
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, aclexplode(attacl)
        WHERE relnamespace = 'audit'::regnamespace
    """
    expected = {
        (role, table, column, "INSERT") for (role, table), columns in _INSERTS.items() for column in columns.split()
    }
    for role, table, column, privilege in fetch(sql, []):
        reading = role in _READERS and privilege == "SELECT" and column == "*"
        if role != OWNER and not reading and (role, table, column, privilege) not in expected:
            yield f"{'everybody' if role == '-' else role} has {privilege} on audit.{table} ({column})"


def _triggers(fetch: Fetch) -> Iterator[str]:
    sql = """
        SELECT n.nspname, c.relname, t.tgname, t.tgenabled FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT t.tgisinternal
    """
    enabled = {(schema, table, name) for schema, table, name, state in fetch(sql, []) if state in ("O", "A")}
    partitions = fetch(
        "SELECT relname FROM pg_class WHERE relispartition AND relnamespace = 'audit'::regnamespace AND relkind = 'r'",
        [],
    )
    append_only = (*APPEND_ONLY, *(name for (name,) in partitions))
    wanted = [("audit", table, name) for table in append_only for name in ("append_only_rows", "append_only_truncate")]
    wanted += [("audit", table, name) for table, name in _EXTRA_TRIGGERS.items()]
    wanted += [
        ("public", table, name) for table in governed_tables() for name in ("governed_entry", "governed_truncate")
    ]
    for schema, table, name in wanted:
        if (schema, table, name) not in enabled:
            yield f"the trigger {name} on {schema}.{table} is missing or disabled"


def _functions(fetch: Fetch) -> Iterator[str]:
    expected: dict[str, str] = {}
    for path in sorted((Path(__file__).parent / "migrations" / "sql").glob("*.sql")):
        expected |= dict(_FUNCTION.findall(path.read_text()))
    stored: dict[str, str] = dict(
        fetch("SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'audit'::regnamespace", [])
    )
    for name, body in expected.items():
        if stored.get(name) != body:
            yield f"the function audit.{name} is missing or differs from its migration"
    for name in stored.keys() - expected.keys():
        yield f"the function audit.{name} is not one of ours"
