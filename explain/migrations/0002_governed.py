"""What the database itself refuses: a job without its entry, a question changed later, a result written afterwards."""

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
"""
ASKED_BACK = """
DROP TRIGGER while_running ON explain_explanationrow;
DROP FUNCTION explain_results_while_running();
DROP TRIGGER asked_once ON explain_explanationjob;
DROP FUNCTION explain_asked_once();
"""


class Migration(migrations.Migration):
    dependencies = [("explain", "0001_initial"), ("audit", "0001_initial")]

    operations = [migrations.RunSQL(ASKED, ASKED_BACK), governed("explain_explanationjob")]
