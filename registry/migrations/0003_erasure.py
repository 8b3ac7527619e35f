"""What never changes may still lose a person's name: a pseudonym in its place, and nothing else."""

from __future__ import annotations

from django.db import migrations

_FUNCTIONS = """
CREATE FUNCTION registry_only_names_become_pseudonyms() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was jsonb := to_jsonb(OLD) -> TG_ARGV[0];
    now jsonb := to_jsonb(NEW) -> TG_ARGV[0];
BEGIN
    IF to_jsonb(NEW) - TG_ARGV[0] IS DISTINCT FROM to_jsonb(OLD) - TG_ARGV[0] OR EXISTS (
        SELECT FROM ROWS FROM (jsonb_array_elements_text(was), jsonb_array_elements_text(now)) AS name (was, now)
        WHERE name.was IS DISTINCT FROM name.now AND coalesce(name.now, '') !~ '^user:[0-9a-f-]{36}$'
    ) THEN
        RAISE EXCEPTION '% rows never change: register a new one', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION registry_deployment_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expected registry_deployment := OLD;
BEGIN
    IF NEW.reason = '(erased)' AND NEW.until IS NOT DISTINCT FROM OLD.until THEN
        expected.reason := NEW.reason;
        IF NEW IS NOT DISTINCT FROM expected THEN
            RETURN NEW;
        END IF;
    END IF;
    expected := OLD;
    expected.until := NEW.until;
    IF OLD.until IS NOT NULL OR NEW.until IS NULL OR NEW IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'a deployment never changes but for its end, once'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""
_TRIGGERS = """
DROP TRIGGER immutable ON registry_modelversion;
CREATE TRIGGER immutable BEFORE UPDATE ON registry_modelversion
    FOR EACH ROW EXECUTE FUNCTION registry_only_names_become_pseudonyms('trained_by');
DROP TRIGGER immutable ON registry_run;
CREATE TRIGGER immutable BEFORE UPDATE ON registry_run
    FOR EACH ROW EXECUTE FUNCTION registry_only_names_become_pseudonyms('contributors');
"""
_BACK = """
DROP TRIGGER immutable ON registry_modelversion;
CREATE TRIGGER immutable BEFORE UPDATE ON registry_modelversion
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_update();
DROP TRIGGER immutable ON registry_run;
CREATE TRIGGER immutable BEFORE UPDATE ON registry_run
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_update();
DROP FUNCTION registry_only_names_become_pseudonyms();
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0002_governed")]

    operations = [migrations.RunSQL(sql=_FUNCTIONS + _TRIGGERS, reverse_sql=_BACK)]
