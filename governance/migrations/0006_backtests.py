"""Back-tests of packs: governed, and what was asked for is never rewritten."""

from __future__ import annotations

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

from audit.governance_of_tables import governed

_KEEP = """
CREATE TRIGGER keep_columns BEFORE UPDATE ON governance_backtest FOR EACH ROW
EXECUTE FUNCTION governance_keep_columns('state', 'result', 'result_digest', 'error', 'ended');
CREATE TRIGGER keep_ended BEFORE UPDATE ON governance_backtest FOR EACH ROW
WHEN (OLD.state <> 'requested') EXECUTE FUNCTION governance_keep_columns();
"""
_LET_GO = """
DROP TRIGGER keep_ended ON governance_backtest;
DROP TRIGGER keep_columns ON governance_backtest;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("governance", "0005_replay")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Backtest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "state",
                    models.CharField(
                        choices=[("requested", "requested"), ("finished", "finished"), ("failed", "failed")],
                        default="requested",
                        max_length=16,
                    ),
                ),
                ("through", models.BigIntegerField(default=0)),
                ("result", models.JSONField(default=dict)),
                ("result_digest", models.CharField(blank=True, max_length=71)),
                ("error", models.TextField(blank=True)),
                ("requested_by", models.CharField(max_length=80)),
                ("requested", models.DateTimeField()),
                ("ended", models.DateTimeField(blank=True, null=True)),
                (
                    "pack",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="backtests",
                        to="governance.policypack",
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
        migrations.CreateModel(
            name="BacktestProgress",
            fields=[
                (
                    "backtest",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="progress",
                        serialize=False,
                        to="governance.backtest",
                    ),
                ),
                ("done", models.PositiveIntegerField(default=0)),
                ("total", models.PositiveIntegerField(default=0)),
            ],
            options={"db_table": "governance_backtest_progress"},
        ),
        migrations.AddConstraint(
            model_name="backtest",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["requested", "finished", "failed"])), name="backtest_state"
            ),
        ),
        migrations.AddConstraint(
            model_name="backtest",
            constraint=models.CheckConstraint(
                condition=~models.Q(state="finished") | ~models.Q(result_digest=""), name="backtest_finished_has_digest"
            ),
        ),
        migrations.AddConstraint(
            model_name="backtest",
            constraint=models.CheckConstraint(
                condition=~models.Q(state="failed") | ~models.Q(error=""), name="backtest_failed_has_error"
            ),
        ),
        governed("governance_backtest"),
        migrations.RunSQL(sql=_KEEP, reverse_sql=_LET_GO),
    ]
