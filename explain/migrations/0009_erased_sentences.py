"""An ended job keeps what it was asked and how it ended; only an erasure takes the sentence that may quote a row."""

from django.db import migrations

ENDED = """
CREATE OR REPLACE FUNCTION explain_asked_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expected explain_explanationjob := OLD;
    under_way boolean := OLD.state IN ('queued', 'running', 'paused', 'waiting');
BEGIN
    expected.error := NEW.error;
    IF under_way THEN
        expected.state := NEW.state;
        expected.standing := NEW.standing;
        expected.retry_at := NEW.retry_at;
        expected.receipt := NEW.receipt;
        expected.receipt_digest := NEW.receipt_digest;
        expected.started := NEW.started;
        expected.ended := NEW.ended;
        IF OLD.plan = '{}'::jsonb THEN
            expected.plan := NEW.plan;
        END IF;
    END IF;
    IF NEW IS DISTINCT FROM expected
        OR NOT (under_way OR OLD.error <> '' AND NEW.error <> '' AND explain_says_so(OLD.id)) THEN
        RAISE EXCEPTION 'what an explanation was asked, and how it ended, never changes'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("explain", "0008_prediction_ids")]

    operations = [migrations.RunSQL(ENDED)]
