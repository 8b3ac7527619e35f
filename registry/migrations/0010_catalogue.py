"""What people ask of models and data sets: use, limits, contacts; owner, law, basis, retention; who confirmed what."""

import django.contrib.postgres.fields
from django.db import migrations, models

# A column of another type is filled without the triggers of a change: what a row said («confirmed») is said in other
# words, and nobody changed anything that would need an entry.
CONFIRMED = """
ALTER TABLE registry_dataset ALTER COLUMN confirmed_facts TYPE varchar(32)[] USING
    CASE WHEN confirmed THEN ARRAY['classification', 'subjects', 'regions']::varchar(32)[] ELSE confirmed_facts END;
"""
# A server of the version before may go on writing until it is stopped: what it does not know is unsaid.
DEFAULTS = """
ALTER TABLE registry_dataset
    ALTER COLUMN owner SET DEFAULT '', ALTER COLUMN perimeter SET DEFAULT '', ALTER COLUMN lawful_basis SET DEFAULT '',
    ALTER COLUMN retention SET DEFAULT '', ALTER COLUMN provenance SET DEFAULT '',
    ALTER COLUMN confirmed_facts SET DEFAULT '{}';
ALTER TABLE registry_model
    ALTER COLUMN intended_use SET DEFAULT '', ALTER COLUMN limits SET DEFAULT '', ALTER COLUMN contacts SET DEFAULT '{}';
"""


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0009_strategy_records'),
    ]

    operations = [
        migrations.AddField(
            model_name='dataset',
            name='confirmed_facts',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=32), blank=True, default=list, size=None, verbose_name='confirmed'),
        ),
        migrations.AddField(
            model_name='dataset',
            name='lawful_basis',
            field=models.CharField(blank=True, choices=[('consent', 'Consent (a)'), ('contract', 'Contract (b)'), ('legal_obligation', 'Legal obligation (c)'), ('vital_interests', 'Vital interests (d)'), ('public_task', 'Public task (e)'), ('legitimate_interests', 'Legitimate interests (f)')], default='', max_length=24, verbose_name='lawful basis'),
        ),
        migrations.AddField(
            model_name='dataset',
            name='owner',
            field=models.CharField(blank=True, default='', max_length=200, verbose_name='owner'),
        ),
        migrations.AddField(
            model_name='dataset',
            name='perimeter',
            field=models.CharField(blank=True, choices=[('AE-federal', 'UAE, federal law'), ('AE-ADGM', 'Abu Dhabi Global Market'), ('AE-DIFC', 'Dubai International Financial Centre'), ('SA', 'Saudi Arabia'), ('QA', 'Qatar'), ('QA-QFC', 'Qatar Financial Centre'), ('BH', 'Bahrain'), ('EU', 'European Union')], default='', max_length=16, verbose_name='perimeter'),
        ),
        migrations.AddField(
            model_name='dataset',
            name='provenance',
            field=models.TextField(blank=True, default='', verbose_name='provenance'),
        ),
        migrations.AddField(
            model_name='dataset',
            name='retention',
            field=models.CharField(blank=True, default='', max_length=400, verbose_name='retention'),
        ),
        migrations.AddField(
            model_name='model',
            name='contacts',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), blank=True, default=list, size=None, verbose_name='contacts'),
        ),
        migrations.AddField(
            model_name='model',
            name='intended_use',
            field=models.TextField(blank=True, default='', verbose_name='intended use'),
        ),
        migrations.AddField(
            model_name='model',
            name='limits',
            field=models.TextField(blank=True, default='', verbose_name='limits'),
        ),
        migrations.AddField(
            model_name='modelversion',
            name='dependencies',
            field=models.JSONField(blank=True, null=True, verbose_name='dependencies'),
        ),
        migrations.RunSQL(CONFIRMED + DEFAULTS, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name='deployment',
            index=models.Index(condition=models.Q(('until__isnull', True)), fields=['environment', '-since'], name='registry_deployment_open'),
        ),
        migrations.AddConstraint(
            model_name='dataset',
            constraint=models.CheckConstraint(condition=models.Q(('perimeter', ''), ('perimeter__in', ['AE-federal', 'AE-ADGM', 'AE-DIFC', 'SA', 'QA', 'QA-QFC', 'BH', 'EU']), _connector='OR'), name='registry_dataset_perimeter'),
        ),
        migrations.AddConstraint(
            model_name='dataset',
            constraint=models.CheckConstraint(condition=models.Q(('lawful_basis', ''), ('lawful_basis__in', ['consent', 'contract', 'legal_obligation', 'vital_interests', 'public_task', 'legitimate_interests']), _connector='OR'), name='registry_dataset_basis'),
        ),
        migrations.AddConstraint(
            model_name='dataset',
            constraint=models.CheckConstraint(condition=models.Q(('confirmed_facts__contained_by', ['classification', 'subjects', 'regions', 'owner', 'perimeter', 'lawful_basis', 'retention', 'provenance'])), name='registry_dataset_confirmed_facts'),
        ),
        migrations.AddConstraint(
            model_name='dataset',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('confirmed', True), ('confirmed_facts__contains', ['classification', 'subjects', 'regions'])), models.Q(('confirmed', False), models.Q(('confirmed_facts__contains', ['classification', 'subjects', 'regions']), _negated=True)), _connector='OR'), name='registry_dataset_confirmed'),
        ),
    ]
