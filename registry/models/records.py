"""What a strategy records of its own about a deployment; append only (migration 0008)."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from registry.models.deployments import Deployment
from registry.models.versions import DIGEST_PATTERN


class StrategyRecord(Governed):
    """One whole record, as ``registry.strategy_records`` describes its strategy's; a later one adds, never replaces."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="records")
    record = models.JSONField(_("record"))
    #: Of the record's canonical JSON; the entry in the log names it.
    digest = models.CharField(_("digest"), max_length=71)
    actor_id = models.CharField(_("recorded by"), max_length=128)
    at = models.DateTimeField(_("recorded"))

    class Meta:
        db_table = "registry_strategy_record"
        ordering = ("-id",)
        verbose_name = _("record of a strategy")
        verbose_name_plural = _("records of strategies")
        constraints = [
            models.CheckConstraint(condition=Q(digest__regex=DIGEST_PATTERN), name="registry_strategy_record_digest"),
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.digest[:19]}"

    @property
    def subject(self) -> str:
        return f"deployment:{self.deployment_id}"

    @property
    def about(self) -> dict[str, str]:
        return self.deployment.about
