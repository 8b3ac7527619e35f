"""What the database itself refuses: an analysis without its entry, a question or a result changed later, and groups of
people that outlive their analysis.
"""

from django.db import migrations

from audit.governance_of_tables import governed

ASKED = """
CREATE FUNCTION explain_analysis_asked_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expected explain_analysis := OLD;
BEGIN
    expected.state := NEW.state;
    expected.standing := NEW.standing;
    expected.error := NEW.error;
    expected.result := NEW.result;
    expected.receipt := NEW.receipt;
    expected.receipt_digest := NEW.receipt_digest;
    expected.started := NEW.started;
    expected.ended := NEW.ended;
    IF NEW.sealed IS NULL THEN
        expected.sealed := NULL;
        expected.key_id := NEW.key_id;
    END IF;
    IF NEW IS DISTINCT FROM expected OR OLD.state NOT IN ('queued', 'running') THEN
        RAISE EXCEPTION 'what an analysis was asked, and how it ended, never changes'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER asked_once BEFORE UPDATE ON explain_analysis
    FOR EACH ROW EXECUTE FUNCTION explain_analysis_asked_once();
"""
ASKED_BACK = """
DROP TRIGGER asked_once ON explain_analysis;
DROP FUNCTION explain_analysis_asked_once();
"""


class Migration(migrations.Migration):
    dependencies = [("explain", "0005_analyses"), ("audit", "0001_initial")]

    operations = [migrations.RunSQL(ASKED, ASKED_BACK), governed("explain_analysis")]
