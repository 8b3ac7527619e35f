"""Roles and grants of the database, made before the first migration (``audit-log`` design, section 5.1).

Whoever runs the web server or a worker must not own what it writes to: the owner of a table can drop its triggers.
So the owner migrates, the runtime role ``countersign_app`` serves, and the sequencer has a role of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from audit.subject_keys import SCHEMA
from config.stack.failure import StackFailure

OWNER = "countersign_owner"
APP = "countersign_app"
SEQUENCER = "audit_sequencer"
READER = "audit_reader"
ERASER = "audit_eraser"
KEYS = "countersign_keys"
LOGIN_ROLES = (OWNER, APP, SEQUENCER, READER, ERASER, KEYS)
GROUP_ROLES = ("audit_owner",)


def fresh_passwords() -> dict[str, str]:
    """One random password for each role that logs in."""
    return {role: secrets.token_urlsafe(24) for role in LOGIN_ROLES}


def url_for(role: str, admin_url: str, passwords: Mapping[str, str], database: str | None = None) -> str:
    """The administrator's URL with another role (and database) in its place."""
    parts = urlsplit(admin_url)
    host = parts.netloc.rpartition("@")[2]
    path = f"/{database}" if database else parts.path
    return urlunsplit((parts.scheme, f"{role}:{quote(passwords[role])}@{host}", path, parts.query, ""))


def provision(admin_url: str, passwords: Mapping[str, str]) -> None:
    """Create the roles, set their passwords and grant what each needs in the database that ``admin_url`` names.

    Safe to repeat. Raises StackFailure when the administrator may not create roles or the server cannot be reached.
    """
    try:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            for role in LOGIN_ROLES + GROUP_ROLES:
                _ensure_role(connection, role, passwords.get(role))
            _let_act_for(connection)
            grant_database(connection)
    except psycopg.OperationalError as error:
        raise StackFailure(f"The database server at DATABASE_URL does not answer: {str(error).strip()}") from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise StackFailure(
            f"DATABASE_URL must name a role that may create roles (it only prepares the database; the server itself "
            f"runs as {APP}): {str(error).strip()}"
        ) from None


def grant_database(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Grants that belong to one database and are not copied with a template."""
    name = sql.Identifier(connection.info.dbname)
    for statement in (
        "REVOKE ALL ON DATABASE {db} FROM PUBLIC",
        "GRANT CONNECT, TEMPORARY ON DATABASE {db}"
        " TO countersign_owner, countersign_app, audit_sequencer, audit_eraser, audit_reader",
        "GRANT CREATE ON DATABASE {db} TO audit_owner, countersign_owner",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE, CREATE ON SCHEMA public TO countersign_owner",
        "GRANT USAGE ON SCHEMA public TO countersign_app, audit_sequencer, audit_eraser, audit_reader, audit_owner",
        "ALTER DEFAULT PRIVILEGES FOR ROLE countersign_owner IN SCHEMA public"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO countersign_app",
        "ALTER DEFAULT PRIVILEGES FOR ROLE countersign_owner IN SCHEMA public"
        " GRANT USAGE, SELECT ON SEQUENCES TO countersign_app",
        "ALTER DEFAULT PRIVILEGES FOR ROLE countersign_owner IN SCHEMA public GRANT SELECT ON TABLES TO audit_reader",
    ):
        connection.execute(sql.SQL(statement).format(db=name))


def provision_keys(admin_url: str, passwords: Mapping[str, str]) -> None:
    """Create the role and the table of the subjects' keys in the database that ``admin_url`` names. Safe to repeat.

    Raises StackFailure when the server cannot be reached or refuses.
    """
    try:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            _ensure_role(connection, KEYS, passwords[KEYS])
            name = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(KEYS)))
            connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
            connection.execute(SCHEMA.read_text())
    except psycopg.Error as error:
        raise StackFailure(
            f"The database of the subjects' keys (SUBJECT_KEYS_DATABASE_URL) cannot be prepared: {str(error).strip()}"
        ) from None


def _let_act_for(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """The owner may step into audit_owner's role, and has its rights only then; who prepares may act for the owner."""
    if connection.info.server_version >= 160000:
        connection.execute("GRANT audit_owner TO countersign_owner WITH SET TRUE, INHERIT FALSE")
        # Since PostgreSQL 16 whoever creates a role administers it, but may act for it only when told so.
        connection.execute("GRANT countersign_owner TO CURRENT_USER WITH INHERIT TRUE, SET TRUE")
    else:  # before it, a role inherits from all of its groups or from none
        connection.execute("ALTER ROLE countersign_owner NOINHERIT")
        connection.execute("GRANT audit_owner TO countersign_owner")
        connection.execute("GRANT countersign_owner TO CURRENT_USER")


def create_keys_database(admin_url: str, name: str) -> None:
    """Create the database ``name`` beside the one that ``admin_url`` names, unless it exists.

    Raises StackFailure when the administrator may not create databases.
    """
    try:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege:
        raise StackFailure(
            f"The role of DATABASE_URL may not create databases: create the empty database {name} for it, or name "
            "another one, best on another server, in SUBJECT_KEYS_DATABASE_URL."
        ) from None
    except psycopg.OperationalError as error:
        raise StackFailure(f"The database server at DATABASE_URL does not answer: {str(error).strip()}") from None


def _ensure_role(connection: psycopg.Connection[tuple[object, ...]], role: str, password: str | None) -> None:
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = sql.SQL("ALTER" if exists else "CREATE")
    login = sql.SQL("LOGIN PASSWORD {}").format(sql.Literal(password)) if password else sql.SQL("NOLOGIN")
    connection.execute(sql.SQL("{} ROLE {} {}").format(verb, sql.Identifier(role), login))
