"""An export of the log: who asked for what, and what came of it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed


class ExportState(models.TextChoices):
    """Where an export stands. While it is requested a worker may be at it."""

    REQUESTED = "requested", _("requested")
    FINISHED = "finished", _("finished")
    FAILED = "failed", _("failed")


class Export(Governed):
    """``scope`` is what was asked, as ``audit.exports.scope.Scope.stored`` writes it. The file is in ``EXPORT_DIR``."""

    state = models.CharField(max_length=16, choices=ExportState.choices, default=ExportState.REQUESTED)
    scope = models.JSONField()
    log_number = models.IntegerField()
    size = models.BigIntegerField(default=0)
    root = models.CharField(max_length=64, blank=True)
    entries = models.BigIntegerField(default=0)
    disclosed = models.BigIntegerField(default=0)
    length = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True)
    requested_by = models.CharField(max_length=80)
    requested = models.DateTimeField()
    ended = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "audit_export"
        ordering: ClassVar[list[str]] = ["-id"]
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(state__in=ExportState.values), name="audit_export_state"),
            models.CheckConstraint(
                condition=~Q(state="finished") | ~Q(sha256=""), name="audit_export_finished_has_digest"
            ),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(error=""), name="audit_export_failed_has_error"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"export:{self.pk}"

    @property
    def about(self) -> dict[str, str]:
        """Its model and environment, so that they find it."""
        return {kind: f"{kind}:{self.scope[kind]}" for kind in ("model", "environment") if self.scope.get(kind)}
