"""What the database itself refuses: a change without its entry, a changed version, a rewritten past, a circle."""

from django.db import migrations

from audit.governance_of_tables import governed

IMMUTABLE = """
CREATE FUNCTION registry_refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% rows never change: register a new one', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER immutable BEFORE UPDATE ON registry_modelversion
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_update();
CREATE TRIGGER immutable BEFORE UPDATE ON registry_lineageedge
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_update();
CREATE TRIGGER immutable BEFORE UPDATE ON registry_run
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_update();
"""
IMMUTABLE_BACK = """
DROP TRIGGER immutable ON registry_run;
DROP TRIGGER immutable ON registry_lineageedge;
DROP TRIGGER immutable ON registry_modelversion;
DROP FUNCTION registry_refuse_update();
"""

# A deployment only ever gets its end, once.
DEPLOYMENT = """
CREATE FUNCTION registry_deployment_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expected registry_deployment := OLD;
BEGIN
    expected.until := NEW.until;
    IF OLD.until IS NOT NULL OR NEW.until IS NULL OR NEW IS DISTINCT FROM expected THEN
        RAISE EXCEPTION 'a deployment never changes but for its end, once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ends_once BEFORE UPDATE ON registry_deployment
    FOR EACH ROW EXECUTE FUNCTION registry_deployment_ends_once();

CREATE FUNCTION registry_deployment_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM registry_modelversion v
        WHERE v.id = NEW.version_id AND v.model_id = NEW.model_id AND v.digest = NEW.digest;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'model, version and digest of a deployment disagree' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER is_whole BEFORE INSERT ON registry_deployment
    FOR EACH ROW EXECUTE FUNCTION registry_deployment_is_whole();
"""
DEPLOYMENT_BACK = """
DROP TRIGGER is_whole ON registry_deployment;
DROP FUNCTION registry_deployment_is_whole();
DROP TRIGGER ends_once ON registry_deployment;
DROP FUNCTION registry_deployment_ends_once();
"""

# Two transactions may each close half of a circle, so the check holds a lock until COMMIT (registry.lineage.edges.LOCK).
ACYCLIC = """
CREATE FUNCTION registry_lineage_is_acyclic() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7203114);
    IF EXISTS (
        WITH RECURSIVE walk(node) AS (
            SELECT NEW.target::text
          UNION
            SELECT e.target::text FROM walk w JOIN registry_lineageedge e ON e.source = w.node
        )
        SELECT 1 FROM walk WHERE node = NEW.source
    ) THEN
        RAISE EXCEPTION 'the edge from % to % closes a circle', NEW.source, NEW.target
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER acyclic BEFORE INSERT ON registry_lineageedge
    FOR EACH ROW EXECUTE FUNCTION registry_lineage_is_acyclic();
"""
ACYCLIC_BACK = """
DROP TRIGGER acyclic ON registry_lineageedge;
DROP FUNCTION registry_lineage_is_acyclic();
"""


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial"), ("audit", "0001_initial")]

    operations = [
        migrations.RunSQL(IMMUTABLE, IMMUTABLE_BACK),
        migrations.RunSQL(DEPLOYMENT, DEPLOYMENT_BACK),
        migrations.RunSQL(ACYCLIC, ACYCLIC_BACK),
        governed("registry_environment"),
        governed("registry_endpoint"),
        governed("registry_model"),
        governed("registry_modelversion"),
        governed("registry_alias"),
        governed("registry_dataset"),
        governed("registry_run"),
        governed("registry_lineageedge"),
        governed("registry_deployment"),
    ]
