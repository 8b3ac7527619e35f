"""What the migrations make of the database, as far as the log rests on it: read from PostgreSQL's catalogues.

``audit/manifest.json`` is the committed copy (``manage.py audit_manifest --write``); ``audit.posture`` compares.
A manifest maps the name of a thing to what it is. Nothing in it depends on one installation or on the version of the
server: no object ids, no names of administrators, no constraint names that the server invents.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.stored_tree import Fetch

FILE = Path(__file__).parent / "manifest.json"
ROLES = (
    "audit_owner",
    "countersign_owner",
    "countersign_app",
    "audit_sequencer",
    "audit_eraser",
    "audit_reader",
)
#: Settings of a role or a database that change what triggers do or which objects a name means.
_SETTINGS = ("session_replication_role", "role", "search_path", "session_preload_libraries", "local_preload_libraries")

_GRANTEE = "CASE a.grantee WHEN 0 THEN 'everybody' ELSE a.grantee::regrole::text END"
_GRANTED = "CASE WHEN a.is_grantable THEN 'with grant option' ELSE 'granted' END"
_RELATIONS = """
    SELECT format('%%s.%%s', n.nspname, c.relname) AS name, c.*, n.nspname FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (n.nspname = 'audit' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S'))
    OR (n.nspname = 'public' AND c.relname = ANY(%s))
"""
_QUERIES: dict[str, str] = {
    "relation": """
        SELECT format('the relation %%s', name), format(
            'kind %%s, belongs to %%s%%s%%s', relkind, relowner::regrole,
            CASE WHEN relrowsecurity OR relforcerowsecurity THEN ', row security' END,
            CASE WHEN relpersistence <> 'p' THEN ', not durable' END) FROM relation
    """,
    "grant": f"""
        SELECT format('%%s has %%s on %%s', {_GRANTEE}, a.privilege_type, name), {_GRANTED}
        FROM relation, aclexplode(relacl) a WHERE a.grantee <> relowner
        UNION ALL
        SELECT format('%%s has %%s on %%s (%%s)', {_GRANTEE}, a.privilege_type, name, attname), {_GRANTED}
        FROM relation JOIN pg_attribute ON attrelid = relation.oid, aclexplode(attacl) a
    """,  # noqa: S608  constants
    # A partition has its numbers from its parent; since PostgreSQL 17 its own column says so too.
    "column": """
        SELECT format('the column %%s.%%s', name, attname), concat_ws(
            ' ', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'not null' END,
            CASE WHEN relispartition THEN NULL WHEN attidentity = 'a' THEN 'always an identity'
                 WHEN attidentity = 'd' THEN 'identity by default' END,
            CASE WHEN attgenerated <> '' THEN 'generated as' WHEN atthasdef THEN 'default' END,
            pg_get_expr(adbin, adrelid))
        FROM relation JOIN pg_attribute a ON attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef d ON (adrelid, adnum) = (attrelid, attnum)
        WHERE nspname = 'audit' AND relkind <> 'S'
    """,
    # 'n' are NOT NULL constraints, which are rows of their own since PostgreSQL 18 only.
    "constraint": """
        SELECT format('the constraint of %%s %%s', name, pg_get_constraintdef(k.oid)),
               CASE WHEN k.convalidated THEN 'holds' ELSE 'is not validated' END
        FROM relation JOIN pg_constraint k ON conrelid = relation.oid
        WHERE nspname = 'audit' AND contype IN ('c', 'p', 'u', 'x', 'f') AND NOT (contype = 'f' AND conparentid <> 0)
    """,
    "trigger": """
        SELECT format('the trigger %%s on %%s', tgname, name), concat_ws(
            ', ', regexp_replace(pg_get_triggerdef(t.oid), '^CREATE (CONSTRAINT )?TRIGGER \\S+ ', '\\1'),
            CASE tgenabled WHEN 'O' THEN NULL WHEN 'A' THEN 'fires always' WHEN 'R' THEN 'fires on replicas only'
                           ELSE 'disabled' END)
        FROM relation JOIN pg_trigger t ON tgrelid = relation.oid WHERE NOT tgisinternal
        UNION ALL
        SELECT DISTINCT format('the foreign keys of %%s', name), 'some are disabled'
        FROM relation JOIN pg_trigger ON tgrelid = relation.oid WHERE tgisinternal AND tgenabled <> 'O'
    """,
    "rule": """
        SELECT format('the rule %%s on %%s', rulename, name), 'rewrites statements'
        FROM relation JOIN pg_rewrite r ON ev_class = relation.oid WHERE relkind IN ('r', 'p')
        UNION ALL
        SELECT format('the policy %%s on %%s', polname, name), 'hides rows'
        FROM relation JOIN pg_policy ON polrelid = relation.oid
    """,
    "function": """
        SELECT format('the function %%s', p.oid::regprocedure), concat_ws(
            ', ', 'belongs to ' || proowner::regrole, lanname,
            CASE WHEN prosecdef THEN 'security definer' END, array_to_string(proconfig, ' '),
            'source ' || encode(sha256(convert_to(prosrc, 'UTF8')), 'hex'))
        FROM pg_proc p JOIN pg_language l ON l.oid = prolang
        WHERE %s AND pronamespace = 'audit'::regnamespace
        UNION ALL
        SELECT format('%%s may execute %%s', CASE a.grantee WHEN 0 THEN 'everybody' ELSE a.grantee::regrole::text END,
                      p.oid::regprocedure), 'granted'
        FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a
        WHERE pronamespace = 'audit'::regnamespace AND a.grantee <> proowner
    """,
    "schema": """
        SELECT format('the schema %%s', nspname),
               CASE nspname WHEN 'audit' THEN 'belongs to ' || nspowner::regrole ELSE 'exists' END
        FROM pg_namespace WHERE %s AND nspname IN ('audit', 'public')
        UNION ALL
        SELECT format('%%s has %%s on the schema %%s', CASE a.grantee WHEN 0 THEN 'everybody'
                      ELSE a.grantee::regrole::text END, a.privilege_type, nspname), 'granted'
        FROM pg_namespace, aclexplode(nspacl) a WHERE nspname IN ('audit', 'public') AND a.grantee <> nspowner
    """,
    "default": """
        SELECT format('by default %%s gets %%s on what %%s makes%%s (%%s)',
                      CASE a.grantee WHEN 0 THEN 'everybody' ELSE a.grantee::regrole::text END, a.privilege_type,
                      defaclrole::regrole, ' in ' || nspname, defaclobjtype), 'granted'
        FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = defaclnamespace, aclexplode(defaclacl) a
        WHERE (nspname = 'audit' OR defaclrole::regrole::text = ANY(%s)) AND a.grantee <> defaclrole
    """,
    "role": """
        SELECT format('the role %%s', rolname), concat_ws(
            ', ', CASE WHEN rolcanlogin THEN 'logs in' ELSE 'does not log in' END,
            CASE WHEN rolsuper THEN 'superuser' END, CASE WHEN rolcreaterole THEN 'creates roles' END,
            CASE WHEN rolreplication THEN 'replicates' END, CASE WHEN rolbypassrls THEN 'bypasses row security' END)
        FROM pg_roles WHERE rolname = ANY(%s)
    """,
    # Administrators (superusers, and who may create roles) can make themselves members at any time: not our finding.
    "member": """
        SELECT format('%%s is a member of %%s', m.rolname, r.rolname), 'yes' FROM pg_auth_members
        JOIN pg_roles m ON m.oid = member JOIN pg_roles r ON r.oid = roleid
        WHERE (r.rolname = ANY(%s) OR m.rolname = ANY(%s))
        AND (m.rolname = ANY(%s) OR NOT (m.rolsuper OR m.rolcreaterole))
    """,
    "event trigger": "SELECT format('the event trigger %%s', evtname), evtevent FROM pg_event_trigger WHERE %s",
    "setting": """
        SELECT format('the setting %%s', split_part(each, '=', 1)), concat_ws(
            ' ', split_part(each, '=', 2), 'for ' || nullif(setrole, 0)::regrole)
        FROM pg_db_role_setting, unnest(setconfig) each
        WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND split_part(each, '=', 1) = ANY(%s)
        UNION ALL SELECT 'the setting session_replication_role of this session',
                         current_setting('session_replication_role')
    """,
}


def collect(fetch: Fetch, governed: list[str]) -> dict[str, str]:
    """What the database has now; ``governed`` are the governed tables. One query for each kind."""
    return dict(sorted(_collect(fetch, governed)))


def _collect(fetch: Fetch, governed: list[str]) -> Iterator[tuple[str, str]]:
    roles = list(ROLES)
    # Every statement has a parameter, so that a percent sign in it reads the same whoever runs it.
    values: dict[str, list[Any]] = {
        "default": [roles],
        "role": [roles],
        "member": [roles] * 3,
        "setting": [list(_SETTINGS)],
        "schema": [True],
        "function": [True],
        "event trigger": [True],
    }
    for kind, statement in _QUERIES.items():
        if kind in values:
            rows = fetch(statement, values[kind])
        else:
            rows = fetch(f"WITH relation AS ({_RELATIONS}) {statement}", [governed])
        yield from ((str(name), str(what)) for name, what in rows)


def committed() -> dict[str, str]:
    """The manifest that is part of this version."""
    told: dict[str, str] = json.loads(FILE.read_text())
    return told


def text(manifest: dict[str, str]) -> str:
    """A manifest as the file has it."""
    return json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
