"""Keys whose signatures on evidence are believed, and which of them signed a piece."""


import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

from audit.governance_of_tables import governed

_KEEP = """
CREATE TRIGGER keep_columns BEFORE UPDATE ON governance_evidencekey FOR EACH ROW EXECUTE FUNCTION governance_keep_columns(
    'state', 'confirmed_by', 'confirmed_at', 'withdrawn_by', 'withdrawn_at', 'withdrawn_reason'
);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('governance', "0016_emergency"),
        ('registry', '0014_where_else_live_data_lie'),
    ]

    operations = [
        migrations.AddField(
            model_name='evidence',
            name='envelope_digest',
            field=models.CharField(blank=True, default='', max_length=71),
        ),
        migrations.AddField(
            model_name='evidence',
            name='verified_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='EvidenceKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reference', models.SlugField(max_length=40, unique=True)),
                ('name', models.CharField(max_length=128, unique=True)),
                ('public_key', models.TextField()),
                ('fingerprint', models.CharField(max_length=71, unique=True)),
                ('types', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=24), size=None)),
                ('state', models.CharField(choices=[('proposed', 'proposed'), ('active', 'active'), ('withdrawn', 'withdrawn')], default='proposed', max_length=9)),
                ('proposed_by', models.CharField(max_length=80)),
                ('proposed_at', models.DateTimeField()),
                ('confirmed_by', models.CharField(blank=True, default='', max_length=80)),
                ('confirmed_at', models.DateTimeField(blank=True, null=True)),
                ('withdrawn_by', models.CharField(blank=True, default='', max_length=80)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
                ('withdrawn_reason', models.TextField(blank=True, default='')),
            ],
            options={
                'verbose_name': 'key of evidence',
                'verbose_name_plural': 'keys of evidence',
                'ordering': ['-id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['proposed', 'active', 'withdrawn'])), name='evidence_key_state'), models.CheckConstraint(condition=models.Q(('fingerprint__regex', '^sha256:[0-9a-f]{64}$')), name='evidence_key_fingerprint'), models.CheckConstraint(condition=models.Q(('types__contained_by', ['validation_report', 'fairness', 'privacy_check', 'drift_baseline', 'explanation', 'security_scan', 'model_card', 'intended_use', 'dpia', 'load_test', 'rollback_drill', 'monitoring_plan', 'human_oversight', 'logging', 'container', 'fundamental_rights']), models.Q(('types', []), _negated=True)), name='evidence_key_types'), models.CheckConstraint(condition=models.Q(('confirmed_by', models.F('proposed_by')), _negated=True), name='evidence_key_two_people'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'active'), _negated=True), models.Q(models.Q(('confirmed_by', ''), _negated=True), ('confirmed_at__isnull', False)), _connector='OR'), name='evidence_key_active_is_confirmed'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'withdrawn'), _negated=True), models.Q(('withdrawn_at__isnull', False), models.Q(('withdrawn_by', ''), _negated=True), models.Q(('withdrawn_reason', ''), _negated=True)), _connector='OR'), name='evidence_key_withdrawn_by_someone')],
            },
        ),
        migrations.AddField(
            model_name='evidence',
            name='signed_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='evidence', to='governance.evidencekey'),
        ),
        migrations.AddConstraint(
            model_name='evidence',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('envelope_digest', ''), ('signed_by__isnull', True), ('verified_at__isnull', True)), models.Q(('envelope_digest__regex', '^sha256:[0-9a-f]{64}$'), ('signed_by__isnull', False), ('verified_at__isnull', False)), _connector='OR'), name='evidence_signed_whole'),
        ),
        governed("governance_evidencekey"),
        migrations.RunSQL(sql=_KEEP, reverse_sql="DROP TRIGGER keep_columns ON governance_evidencekey;"),
    ]
