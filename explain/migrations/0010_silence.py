"""A job knows since when its endpoint has been silent: it ends after a day of silence, not a day after its start."""

from django.db import migrations, models

SILENT = """
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
        expected.silent_since := NEW.silent_since;
        expected.silent_rows := NEW.silent_rows;
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
    dependencies = [("explain", "0009_erased_sentences")]

    operations = [
        migrations.AddField(
            model_name="explanationjob",
            name="silent_rows",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="rows finished then"),
        ),
        migrations.AddField(
            model_name="explanationjob",
            name="silent_since",
            field=models.DateTimeField(blank=True, null=True, verbose_name="no answer since"),
        ),
        migrations.RunSQL(SILENT),
    ]
