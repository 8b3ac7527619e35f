"""Who may do what to the log, as the database has it: refuse to boot as an owner, and find widened grants.

What is expected is the committed manifest (``audit.catalogue``), made from the migrations and never edited by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.utils.translation import gettext as _

from audit import catalogue
from audit.models.governed import Governed
from audit.stored_tree import Fetch

_DETACHED = "SELECT log_id FROM audit.log_state WHERE kind = 'detached'"
_FIRST = re.compile(r"\bentry_1\b")
_PARTITION = re.compile(r"the relation audit\.entry_(\d+)$")

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
    """Every deviation of the database from the committed manifest; empty: none."""
    found = catalogue.collect(fetch, governed_tables())
    detached = {number for (number,) in fetch(_DETACHED, [])}
    return list(differences(found, _with_successors(catalogue.committed(), found, detached)))


def differences(found: Mapping[str, str], wanted: Mapping[str, str]) -> Iterator[str]:
    """One sentence for each thing that is missing, not known, or not what it should be."""
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            yield _("%(name)s is missing (%(wanted)s)") % {"name": name, "wanted": wanted[name]}
        elif name not in wanted:
            yield _("%(name)s is not in the manifest (%(found)s)") % {"name": name, "found": found[name]}
        elif found[name] != wanted[name]:
            values = {"name": name, "found": found[name], "wanted": wanted[name]}
            yield _("%(name)s: %(found)s; the manifest says %(wanted)s") % values


def fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Rows of a statement over Django's connection."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _with_successors(wanted: Mapping[str, str], found: Mapping[str, str], detached: set[int]) -> dict[str, str]:
    """The manifest of an installation with later logs: each has a partition of its own like the first one's.

    A partition whose log is closed has one trigger more, which refuses every INSERT; a ``detached`` log has none.
    """
    made = {name: what for name, what in wanted.items() if not (1 in detached and _FIRST.search(name))}
    numbers = {match.group(1) for name in found if (match := _PARTITION.search(name))}
    for number in numbers:
        for name, what in wanted.items():
            if _FIRST.search(name):
                made[_FIRST.sub(f"entry_{number}", name)] = _FIRST.sub(f"entry_{number}", what)
        closed = f"the trigger log_closed on audit.entry_{number}"
        if closed in found:
            made[closed] = f"BEFORE INSERT ON audit.entry_{number} FOR EACH ROW EXECUTE FUNCTION audit.refuse_entry()"
    return made
