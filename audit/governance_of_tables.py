"""The migration operation that puts a table under the log's completeness rule."""

from __future__ import annotations

import re

from django.db.migrations import RunSQL

_NAME = re.compile(r"[a-z][a-z0-9_]{0,54}")


def governed(table: str) -> RunSQL:
    """Refuse every COMMIT that changed a row of ``table`` without an entry for that row, and every TRUNCATE.

    Use it after the table was created, in a migration that depends on ``("audit", "0001_initial")``. The primary key
    column must be ``id``; the entry's ``object_key`` must be ``<table>/<id>`` (``Governed.object_key``). Raises
    ``ValueError`` for a name that would need quoting.
    """
    if not _NAME.fullmatch(table):
        raise ValueError(f"{table!r} is not a plain lower-case table name")
    return RunSQL(
        sql=f"""
            CREATE CONSTRAINT TRIGGER governed_entry AFTER INSERT OR UPDATE OR DELETE ON {table}
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.require_entry();
            CREATE TRIGGER governed_truncate BEFORE TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_truncate();
        """,
        reverse_sql=f"""
            DROP TRIGGER governed_entry ON {table};
            DROP TRIGGER governed_truncate ON {table};
        """,
    )
