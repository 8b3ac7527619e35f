"""What the database refuses now: a plan written twice, a sealed row changed, a result changed but for an erasure."""

from django.db import migrations

WRITTEN_FOR = """
CREATE FUNCTION explain_says_so(job bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT 1 FROM audit.entry e WHERE e.txid = pg_current_xact_id()
            AND e.object_key = 'explain_explanationjob/' || job AND e.created_at >= transaction_timestamp()
    )
$$;

CREATE OR REPLACE FUNCTION explain_asked_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expected explain_explanationjob := OLD;
BEGIN
    expected.state := NEW.state;
    expected.standing := NEW.standing;
    expected.error := NEW.error;
    expected.retry_at := NEW.retry_at;
    expected.receipt := NEW.receipt;
    expected.receipt_digest := NEW.receipt_digest;
    expected.started := NEW.started;
    expected.ended := NEW.ended;
    IF OLD.plan = '{}'::jsonb THEN
        expected.plan := NEW.plan;
    END IF;
    IF NEW IS DISTINCT FROM expected OR OLD.state NOT IN ('queued', 'running', 'paused', 'waiting') THEN
        RAISE EXCEPTION 'what an explanation was asked, and how it ended, never changes'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION explain_results_while_running() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expected explain_explanationrow;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        expected := OLD;
        expected.row_id := 'erased-' || OLD.position;
        expected.phi := '{}';
        expected.se := '{}';
        expected.base := NULL;
        expected.fx := NULL;
        expected.residual := NULL;
        expected.problem := '';
        expected.diagnostics := '{}'::jsonb;
        expected.erased := TRUE;
        IF NEW IS DISTINCT FROM expected OR OLD.digest = '' OR NOT explain_says_so(OLD.job_id) THEN
            RAISE EXCEPTION 'results are written once, and only erased' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF NOT EXISTS (SELECT 1 FROM explain_explanationjob j WHERE j.id = NEW.job_id AND j.state = 'running') THEN
        RAISE EXCEPTION 'results are written once, by a running job' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

-- Rows come with their question and go with it, or are erased with an entry.
CREATE FUNCTION explain_rows_stay() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expected explain_explanationinput;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT 1 FROM explain_explanationjob j WHERE j.id = NEW.job_id AND j.state = 'queued')
            OR NOT explain_says_so(NEW.job_id) THEN
            RAISE EXCEPTION 'rows come with their question' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        expected := OLD;
        expected.body := NULL;
        expected.row_id := CASE WHEN OLD.background THEN '' ELSE 'erased-' || OLD.position END;
        IF NEW IS DISTINCT FROM expected OR NOT explain_says_so(OLD.job_id) THEN
            RAISE EXCEPTION 'a row of a question is erased or stays as it is'
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF EXISTS (SELECT 1 FROM explain_explanationjob j WHERE j.id = OLD.job_id) THEN
        RAISE EXCEPTION 'a row of a question goes only with it' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER stay AFTER INSERT OR UPDATE OR DELETE ON explain_explanationinput
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION explain_rows_stay();

CREATE OR REPLACE FUNCTION explain_results_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM explain_explanationjob j
            WHERE j.id = OLD.job_id AND NOT (j.state IN ('failed', 'version_changed') AND explain_says_so(j.id))
    ) THEN
        RAISE EXCEPTION 'the results of an explanation stay as long as it stands'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("explain", "0003_sealed_rows_and_plans")]

    operations = [migrations.RunSQL(WRITTEN_FOR)]
