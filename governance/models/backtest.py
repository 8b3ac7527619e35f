"""A back-test: what a pack would have decided about everything on record, and about everything that serves."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from governance.models.policy import PolicyPack


class BacktestState(models.TextChoices):
    """Where a back-test stands. While it is requested a worker may be at it."""

    REQUESTED = "requested", _("requested")
    FINISHED = "finished", _("finished")
    FAILED = "failed", _("failed")


class Backtest(Governed):
    """``through`` is the newest decision that counts. ``result`` is what ``governance.backtests`` found, and its digest
    is in the entry that ended it; from then on a trigger keeps every column.
    """

    pack = models.ForeignKey(PolicyPack, on_delete=models.PROTECT, related_name="backtests")
    state = models.CharField(max_length=16, choices=BacktestState.choices, default=BacktestState.REQUESTED)
    through = models.BigIntegerField(default=0)
    result: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    result_digest = models.CharField(max_length=71, blank=True)
    error = models.TextField(blank=True)
    requested_by = models.CharField(max_length=80)
    requested = models.DateTimeField()
    ended = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(state__in=BacktestState.values), name="backtest_state"),
            models.CheckConstraint(
                condition=~models.Q(state="finished") | ~models.Q(result_digest=""), name="backtest_finished_has_digest"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="failed") | ~models.Q(error=""), name="backtest_failed_has_error"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pack}, back-test {self.pk}"

    @property
    def subject(self) -> str:
        """The pack's, so that the pack's history tells of it."""
        return self.pack.subject

    @property
    def numbers(self) -> dict[str, int]:
        """What a finished one is remembered by: decisions, flips, left_out, would_fall."""
        live = self.result["live"]["deployments"]
        return {
            "decisions": self.result["decisions"]["looked_at"],
            "flips": self.result["decisions"]["flips"],
            "left_out": self.result["left_out"]["count"],
            "would_fall": sum(1 for each in live if each["today"] == "allow"),
        }


class BacktestProgress(models.Model):
    """How far a worker is: of ``total`` decisions and deployments, ``done``. Decides nothing and is no record."""

    backtest = models.OneToOneField(Backtest, on_delete=models.CASCADE, primary_key=True, related_name="progress")
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "governance_backtest_progress"

    def __str__(self) -> str:
        return f"{self.done} of {self.total}"
