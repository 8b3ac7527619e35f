"""The request to let one version serve in one environment."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed


class PromotionState(models.TextChoices):
    REQUESTED = "requested", _("requested")
    IN_REVIEW = "in_review", _("in review")
    BLOCKED = "blocked", _("blocked")
    APPROVED = "approved", _("approved")
    REJECTED = "rejected", _("rejected")
    WITHDRAWN = "withdrawn", _("withdrawn")
    SUPERSEDED = "superseded", _("superseded")
    EXPIRED = "expired", _("expired")
    DEPLOYED = "deployed", _("deployed")


#: States in which a promotion can still lead to a deployment.
OPEN_STATES = (
    PromotionState.REQUESTED,
    PromotionState.IN_REVIEW,
    PromotionState.BLOCKED,
    PromotionState.APPROVED,
)


class Promotion(Governed):
    """``state`` is a cache of what the pure functions derive; it is recomputed at every gate check and never trusted.

    ``plan`` is what the requester asks for, ``{"strategy": "canary", ...}``. ``round`` counts how often the subject
    changed under the sign-offs; those of earlier rounds stay readable and count for nothing.
    """

    version = models.ForeignKey("registry.ModelVersion", on_delete=models.PROTECT, related_name="promotions")
    environment = models.ForeignKey("registry.Environment", on_delete=models.PROTECT, related_name="promotions")
    plan: models.JSONField[dict[str, Any]] = models.JSONField(default=dict)
    state = models.CharField(max_length=16, choices=PromotionState.choices, default=PromotionState.REQUESTED)
    requested_by = models.CharField(max_length=80)
    requested_at = models.DateTimeField()
    reason = models.TextField()
    expires_at = models.DateTimeField()
    round = models.PositiveIntegerField(default=1)
    subject_digest = models.CharField(max_length=71, blank=True)
    #: The decision that put it into its state. Later decisions that change nothing are in ``decisions`` only.
    decided_by = models.ForeignKey(
        "governance.Decision", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )

    class Meta:
        ordering = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["state", "requested_at"], name="promotion_queue"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(state__in=PromotionState.values), name="promotion_state_known"),
            models.UniqueConstraint(
                fields=["version", "environment"],
                condition=models.Q(state__in=[state.value for state in OPEN_STATES]),
                name="promotion_one_open",
            ),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"promotion:{self.pk}"

    @property
    def about(self) -> dict[str, str]:
        return {"version": self.version.subject, "environment": self.environment.subject}

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES
