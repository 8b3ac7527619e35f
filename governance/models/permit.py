"""The right to deploy what was allowed: once, and soon."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from audit.models.governed import Governed


class Permit(Governed):
    """Only the SHA-256 of the secret is stored. Bound to one decision, and so to environment and subject."""

    decision = models.ForeignKey("governance.Decision", on_delete=models.PROTECT, related_name="permits")
    secret_digest = models.CharField(max_length=71, unique=True)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    issued_to = models.CharField(max_length=80)
    consumed_at = models.DateTimeField(null=True, blank=True)
    consumed_by = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(consumed_at__isnull=True, consumed_by="")
                | (models.Q(consumed_at__isnull=False) & ~models.Q(consumed_by="")),
                name="permit_consumed_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return f"permit:{self.pk}"

    @property
    def subject(self) -> str:
        return self.decision.subject

    @property
    def about(self) -> dict[str, str]:
        return self.decision.about
