"""Who is told that an explanation ended: kept until it was told, because a message may be lost and a row is not."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from explain.models.jobs import ExplanationJob


class NoticeState(models.TextChoices):
    """Where a notice stands."""

    WAITING = "waiting", _("Waiting")
    DELIVERED = "delivered", _("Delivered")
    GIVEN_UP = "given_up", _("Given up")


class Notice(models.Model):
    """One message to one address. What it says is read from the job, so that it never differs from the record."""

    job = models.OneToOneField(ExplanationJob, on_delete=models.CASCADE, related_name="notice")
    url = models.URLField(_("address"), max_length=400)
    state = models.CharField(_("state"), max_length=12, choices=NoticeState.choices, default=NoticeState.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_at = models.DateTimeField(_("sent again at"))
    error = models.TextField(_("what went wrong"), blank=True)

    class Meta:
        db_table = "explain_notice"
        ordering = ("id",)
        verbose_name = _("notice")
        verbose_name_plural = _("notices")
        constraints = [models.CheckConstraint(condition=Q(state__in=NoticeState.values), name="explain_notice_state")]
        indexes = [models.Index(fields=["next_at"], condition=Q(state="waiting"), name="explain_notice_waiting")]

    def __str__(self) -> str:
        return f"{self.job_id}: {self.state}"
