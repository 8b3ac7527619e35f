"""Where the backups of an environment lie, who looks at its live data, where its explanations are computed.

NULL says that nobody said, also of every environment from before: its data may be anywhere.
"""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('registry', '0013_no_longer_lawful'),
    ]

    operations = [
        migrations.AddField(
            model_name='environment',
            name='backups',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), null=True, size=None, verbose_name='regions of the backups'),
        ),
        migrations.AddField(
            model_name='environment',
            name='support_access',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), null=True, size=None, verbose_name='countries from which people can look at live data'),
        ),
        migrations.AddField(
            model_name='environment',
            name='explanation_workers',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=64), null=True, size=None, verbose_name='regions of the explanation workers'),
        ),
    ]
