"""What a gate check decided, with everything needed to decide it again."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed


class Outcome(models.TextChoices):
    ALLOW = "allow", _("allowed")
    DENY = "deny", _("denied")
    PENDING = "pending", _("waiting for sign-offs")
    ERROR = "error", _("cannot be decided")


class Action(models.TextChoices):
    PROMOTE = "promote", _("promote")
    DEPLOY = "deploy", _("deploy")
    INCREASE = "increase", _("increase")
    ROLLBACK = "rollback", _("roll back")
    RUN = "run", _("run")


class Decision(Governed):
    """Immutable: a trigger refuses UPDATE. ``facts`` and ``inputs`` (signatures, roles) hold the frozen input,
    ``packs`` names the rules used; ``result_digest`` is the address of what came out, which its entry repeats.
    """

    public_id = models.CharField(max_length=40, unique=True)
    version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="decisions")
    environment = models.ForeignKey("registry.Environment", on_delete=models.PROTECT, related_name="decisions")
    promotion = models.ForeignKey(
        "governance.Promotion", on_delete=models.PROTECT, related_name="decisions", null=True, blank=True
    )
    action = models.CharField(max_length=16, choices=Action.choices)
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    summary = models.TextField()
    findings: models.JSONField[list[dict[str, Any]]] = models.JSONField(default=list)
    signoff: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    facts: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    facts_digest = models.CharField(max_length=71)
    inputs: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    packs: models.JSONField[list[dict[str, Any]]] = models.JSONField(default=list)
    engine: models.JSONField[dict[str, str]] = models.JSONField(default=dict)
    subject_digest = models.CharField(max_length=71)
    result_digest = models.CharField(max_length=71, blank=True)
    subject_parts: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    ci: models.JSONField[dict[str, str]] = models.JSONField(default=dict)
    decided_at = models.DateTimeField()
    valid_until = models.DateTimeField()
    requested_by = models.CharField(max_length=80)

    class Meta:
        ordering = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["environment", "-id"], name="decision_by_environment"),
            models.Index(fields=["outcome", "-id"], name="decision_by_outcome"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(outcome__in=Outcome.values), name="decision_outcome_known"),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def subject(self) -> str:
        """The promotion that it decides about, so that the promotion's history is whole; else itself."""
        return f"promotion:{self.promotion_id}" if self.promotion_id else f"decision:{self.public_id}"

    @property
    def about(self) -> dict[str, str]:
        return {"version": self.version.subject, "environment": self.environment.subject}

    @property
    def allows(self) -> bool:
        """True for the outcome ``allow`` alone; nothing is ever concluded from the absence of findings."""
        return self.outcome == Outcome.ALLOW
