"""Every table that decides or grants something is governed; what was decided, signed or drafted cannot be rewritten."""

from __future__ import annotations

from django.db import migrations

from audit.governance_of_tables import governed

_GOVERNED = (
    "governance_user",
    "governance_token",
    "governance_policypack",
    "governance_decision",
    "governance_promotion",
    "governance_signoff",
    "governance_permit",
    "governance_transfersafeguard",
)

#: Table -> the columns that an UPDATE may touch; every other column keeps its first value.
_MUTABLE = {
    "governance_policypack": ("state", "activated_at", "activated_by"),
    "governance_decision": (),
    "governance_signoff": ("comment",),
    "governance_permit": ("consumed_at", "consumed_by"),
}

_REFUSE = """
CREATE FUNCTION governance_keep_columns() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE keys text[] := COALESCE(TG_ARGV, '{}');
BEGIN
    IF to_jsonb(NEW) - keys IS DISTINCT FROM to_jsonb(OLD) - keys THEN
        RAISE EXCEPTION 'a row of % keeps what was first written into it', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
"""


def _keep(table: str, mutable: tuple[str, ...]) -> migrations.RunSQL:
    arguments = ", ".join(f"'{column}'" for column in mutable)
    return migrations.RunSQL(
        sql=f"CREATE TRIGGER keep_columns BEFORE UPDATE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION governance_keep_columns({arguments});",
        reverse_sql=f"DROP TRIGGER keep_columns ON {table};",
    )


# The table that says which migrations ran belongs to who migrates; the default grants gave it to the runtime role too.
_MIGRATIONS = "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON django_migrations FROM countersign_app;"
_MIGRATIONS_BACK = "GRANT INSERT, UPDATE, DELETE ON django_migrations TO countersign_app;"


class Migration(migrations.Migration):
    dependencies = [("governance", "0001_initial"), ("audit", "0001_initial")]

    operations = [
        *(governed(table) for table in _GOVERNED),
        migrations.RunSQL(sql=_REFUSE, reverse_sql="DROP FUNCTION governance_keep_columns();"),
        *(_keep(table, mutable) for table, mutable in _MUTABLE.items()),
        migrations.RunSQL(sql=_MIGRATIONS, reverse_sql=_MIGRATIONS_BACK),
    ]
