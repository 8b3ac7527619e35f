"""The schema «audit», made by the role that owns it; the role that runs the site gets the privileges of 0001_grants.

It cannot be reversed: the only thing that a reverse could do is destroy the record.
"""

from pathlib import Path

from django.db import migrations, models

_SQL = Path(__file__).parent / "sql"

# SET LOCAL ends with the transaction of this migration, whatever happens in between.
_BECOME_OWNER = """
    SELECT set_config('audit.migrating_role', current_user, true);
    CREATE SCHEMA audit AUTHORIZATION audit_owner;
    SET LOCAL ROLE audit_owner;
"""
_STEP_BACK = "SELECT set_config('role', current_setting('audit.migrating_role'), true);"


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
                ('pk', models.CompositePrimaryKey('log_id', 'size', blank=True, editable=False, primary_key=True, serialize=False)),
                ('log_id', models.IntegerField()),
                ('size', models.BigIntegerField()),
                ('root', models.BinaryField()),
                ('note', models.TextField()),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'db_table': '"audit"."checkpoint"',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Key',
            fields=[
                ('pk', models.CompositePrimaryKey('log_id', 'vkey', blank=True, editable=False, primary_key=True, serialize=False)),
                ('log_id', models.IntegerField()),
                ('vkey', models.TextField()),
                ('from_size', models.BigIntegerField()),
                ('event_id', models.UUIDField()),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'db_table': '"audit"."key"',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='Log',
            fields=[
                ('log_id', models.IntegerField(primary_key=True, serialize=False)),
                ('tenant_id', models.UUIDField(null=True)),
                ('origin', models.TextField(unique=True)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'db_table': '"audit"."log"',
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='SelfCheck',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('log_id', models.IntegerField()),
                ('source', models.TextField()),
                ('outcome', models.TextField()),
                ('size', models.BigIntegerField()),
                ('root', models.TextField()),
                ('finding', models.TextField()),
                ('steps', models.JSONField()),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField()),
            ],
            options={
                'db_table': '"audit"."self_check"',
                'managed': False,
            },
        ),
        migrations.RunSQL(_BECOME_OWNER),
        migrations.RunSQL((_SQL / "0001_tables.sql").read_text()),
        migrations.RunSQL((_SQL / "0001_triggers.sql").read_text()),
        migrations.RunSQL((_SQL / "0001_succession.sql").read_text()),
        migrations.RunSQL((_SQL / "0001_grants.sql").read_text()),
        migrations.RunSQL(_STEP_BACK),
    ]
