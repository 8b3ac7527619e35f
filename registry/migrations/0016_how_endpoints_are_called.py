"""Nine more protocols, with options, limits over all workers, a time-out and the name of a credential."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0015_must_be_replaced'),
    ]

    operations = [
        migrations.CreateModel(
            name='EndpointPace',
            fields=[
                ('endpoint_id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('free_at', models.DateTimeField(verbose_name='free at')),
            ],
            options={
                'db_table': 'registry_endpoint_pace',
                'verbose_name': 'pace of an endpoint',
                'verbose_name_plural': 'paces of endpoints',
            },
        ),
        migrations.RemoveConstraint(
            model_name='endpoint',
            name='registry_endpoint_protocol',
        ),
        migrations.AddField(
            model_name='endpoint',
            name='concurrency',
            field=models.PositiveSmallIntegerField(db_default=2, default=2, verbose_name='requests at once'),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='credential',
            field=models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name='credential'),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='options',
            field=models.JSONField(blank=True, db_default=models.Value({}, models.JSONField()), default=dict, verbose_name='options'),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='rows_per_second',
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name='rows per second'),
        ),
        migrations.AddField(
            model_name='endpoint',
            name='timeout',
            field=models.PositiveSmallIntegerField(db_default=30, default=30, verbose_name='seconds for one answer'),
        ),
        migrations.AlterField(
            model_name='endpoint',
            name='protocol',
            field=models.CharField(choices=[('mlflow', 'MLflow scoring (POST /invocations)'), ('v2', 'Open Inference Protocol V2 (KServe, Triton, MLServer, Seldon)'), ('v1', 'KServe V1, TensorFlow Serving (:predict)'), ('seldon_v1', 'Seldon V1'), ('bentoml', 'BentoML'), ('ray', 'Ray Serve'), ('sagemaker', 'SageMaker container (POST /invocations)'), ('vertex', 'Vertex AI'), ('azureml', 'Azure ML (POST /score)'), ('http_json', 'Other HTTP, described by a mapping')], max_length=16, verbose_name='protocol'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('protocol__in', ['mlflow', 'v2', 'v1', 'seldon_v1', 'bentoml', 'ray', 'sagemaker', 'vertex', 'azureml', 'http_json'])), name='registry_endpoint_protocol'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('concurrency__gte', 1), ('concurrency__lte', 16)), name='registry_endpoint_concurrency'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('rows_per_second__isnull', True), ('rows_per_second__gte', 1), _connector='OR'), name='registry_endpoint_rows'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('timeout__gte', 1), ('timeout__lte', 600)), name='registry_endpoint_timeout'),
        ),
        migrations.AddConstraint(
            model_name='endpoint',
            constraint=models.CheckConstraint(condition=models.Q(('credential', ''), ('credential__regex', '^[A-Z][A-Z0-9_]*$'), _connector='OR'), name='registry_endpoint_credential'),
        ),
    ]
