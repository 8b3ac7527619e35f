"""Exports of the log: each change of a row needs its entry, as in every governed table."""

from django.db import migrations, models

from audit.governance_of_tables import governed


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Export',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('requested', 'requested'), ('finished', 'finished'), ('failed', 'failed')], default='requested', max_length=16)),
                ('scope', models.JSONField()),
                ('log_number', models.IntegerField()),
                ('size', models.BigIntegerField(default=0)),
                ('root', models.CharField(blank=True, max_length=64)),
                ('entries', models.BigIntegerField(default=0)),
                ('disclosed', models.BigIntegerField(default=0)),
                ('length', models.BigIntegerField(default=0)),
                ('sha256', models.CharField(blank=True, max_length=64)),
                ('error', models.TextField(blank=True)),
                ('requested_by', models.CharField(max_length=80)),
                ('requested', models.DateTimeField()),
                ('ended', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'verbose_name': 'export',
                'verbose_name_plural': 'exports',
                'db_table': 'audit_export',
                'ordering': ['-id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['requested', 'finished', 'failed'])), name='audit_export_state'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'finished'), _negated=True), models.Q(('sha256', ''), _negated=True), _connector='OR'), name='audit_export_finished_has_digest'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'failed'), _negated=True), models.Q(('error', ''), _negated=True), _connector='OR'), name='audit_export_failed_has_error')],
            },
        ),
        governed('audit_export'),
    ]
