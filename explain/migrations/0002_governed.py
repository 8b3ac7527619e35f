"""What the database itself refuses: a job without its entry, a question changed later, a result written
or removed afterwards.
"""

from django.db import migrations

from audit.governance_of_tables import governed

ASKED = """
CREATE FUNCTION explain_asked_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expected explain_explanationjob := OLD;
BEGIN
    expected.state := NEW.state;
    expected.standing := NEW.standing;
    expected.error := NEW.error;
    expected.receipt := NEW.receipt;
    expected.receipt_digest := NEW.receipt_digest;
    expected.started := NEW.started;
    expected.ended := NEW.ended;
    IF NEW IS DISTINCT FROM expected OR OLD.state NOT IN ('queued', 'running') THEN
        RAISE EXCEPTION 'what an explanation was asked, and how it ended, never changes'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER asked_once BEFORE UPDATE ON explain_explanationjob
    FOR EACH ROW EXECUTE FUNCTION explain_asked_once();

CREATE FUNCTION explain_results_while_running() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' OR NOT EXISTS (
        SELECT 1 FROM explain_explanationjob j WHERE j.id = NEW.job_id AND j.state = 'running'
    ) THEN
        RAISE EXCEPTION 'results are written once, by a running job' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER while_running BEFORE INSERT OR UPDATE ON explain_explanationrow
    FOR EACH ROW EXECUTE FUNCTION explain_results_while_running();

-- Results go together with their job, or when the same transaction ends their job as failed and says so in the log.
CREATE FUNCTION explain_results_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM explain_explanationjob j WHERE j.id = OLD.job_id AND NOT (
            j.state = 'failed' AND EXISTS (
                SELECT 1 FROM audit.entry e WHERE e.txid = pg_current_xact_id()
                    AND e.object_key = 'explain_explanationjob/' || j.id AND e.created_at >= transaction_timestamp()
            )
        )
    ) THEN
        RAISE EXCEPTION 'the results of an explanation stay as long as it stands'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER stay AFTER DELETE ON explain_explanationrow
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION explain_results_stay();
"""
ASKED_BACK = """
DROP TRIGGER stay ON explain_explanationrow;
DROP FUNCTION explain_results_stay();
DROP TRIGGER while_running ON explain_explanationrow;
DROP FUNCTION explain_results_while_running();
DROP TRIGGER asked_once ON explain_explanationjob;
DROP FUNCTION explain_asked_once();
"""


class Migration(migrations.Migration):
    dependencies = [("explain", "0001_initial"), ("audit", "0001_initial")]

    operations = [migrations.RunSQL(ASKED, ASKED_BACK), governed("explain_explanationjob")]
