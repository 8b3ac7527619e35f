"""OpenLineage: events as they came, what became of them, how data sets are called; edges that may be part of a circle."""

import django.db.models.deletion
from django.db import migrations, models

APPEND_ONLY = """
CREATE FUNCTION registry_refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: what was received stays', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON registry_openlineage_event
    FOR EACH ROW EXECUTE FUNCTION registry_refuse_rewriting();
CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON registry_openlineage_event
    FOR EACH STATEMENT EXECUTE FUNCTION registry_refuse_rewriting();
"""
APPEND_ONLY_BACK = """
DROP TRIGGER append_only_truncate ON registry_openlineage_event;
DROP TRIGGER append_only ON registry_openlineage_event;
DROP FUNCTION registry_refuse_rewriting();
"""

# A run that updates a table in place reads it and writes it: a circle of names, and the truth. Such a circle always
# has an edge of these kinds (registry.models.lineage.MAY_CIRCLE); the graph of all other kinds stays without any.
CIRCLES = """
CREATE OR REPLACE FUNCTION registry_lineage_is_acyclic() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.kind IN ('wrote', 'same') THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock(7203114);
    IF EXISTS (
        WITH RECURSIVE walk(node) AS (
            SELECT NEW.target::text
          UNION
            SELECT e.target::text FROM walk w JOIN registry_lineageedge e ON e.source = w.node
            WHERE e.kind NOT IN ('wrote', 'same')
        )
        SELECT 1 FROM walk WHERE node = NEW.source
    ) THEN
        RAISE EXCEPTION 'the edge from % to % closes a circle', NEW.source, NEW.target
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""
CIRCLES_BACK = """
CREATE OR REPLACE FUNCTION registry_lineage_is_acyclic() RETURNS trigger LANGUAGE plpgsql AS $$
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
"""


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0005_source_import'),
    ]

    operations = [
        migrations.CreateModel(
            name='OpenLineageEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=71, unique=True)),
                ('body', models.BinaryField()),
                ('kind', models.CharField(max_length=8)),
                ('run_id', models.CharField(blank=True, db_index=True, max_length=36)),
                ('event_type', models.CharField(blank=True, max_length=8)),
                ('event_time', models.DateTimeField()),
                ('producer', models.TextField()),
                ('actor_id', models.CharField(max_length=128)),
                ('received', models.DateTimeField()),
            ],
            options={
                'db_table': 'registry_openlineage_event',
                'ordering': ('-id',),
            },
        ),
        migrations.CreateModel(
            name='OpenLineageName',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=64, unique=True)),
                ('namespace', models.TextField()),
                ('name', models.TextField()),
                ('version', models.TextField(blank=True)),
                ('dataset_name', models.CharField(max_length=128, unique=True)),
                ('digest', models.CharField(max_length=71)),
                ('producer', models.TextField()),
            ],
            options={
                'db_table': 'registry_openlineage_name',
                'ordering': ('dataset_name',),
            },
        ),
        migrations.RemoveConstraint(
            model_name='lineageedge',
            name='registry_edge_kind',
        ),
        migrations.AlterField(
            model_name='lineageedge',
            name='kind',
            field=models.CharField(choices=[('derived', 'was derived into'), ('input', 'was read by'), ('output', 'produced'), ('trained', 'trained'), ('tuned', 'was the base of'), ('wrote', 'wrote'), ('same', 'is also called')], max_length=16, verbose_name='kind'),
        ),
        migrations.AddConstraint(
            model_name='lineageedge',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['derived', 'input', 'output', 'trained', 'tuned', 'wrote', 'same'])), name='registry_edge_kind'),
        ),
        migrations.CreateModel(
            name='OpenLineageOutcome',
            fields=[
                ('event', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='outcome', serialize=False, to='registry.openlineageevent')),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('applied', 'read into the lineage'), ('failed', 'could not be read into the lineage')], default='waiting', max_length=8)),
                ('problems', models.JSONField(default=list)),
            ],
            options={
                'db_table': 'registry_openlineage_outcome',
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['event'], name='registry_openlineage_waiting')],
            },
        ),
        migrations.RunSQL(APPEND_ONLY, APPEND_ONLY_BACK),
        migrations.RunSQL(CIRCLES, CIRCLES_BACK),
    ]
