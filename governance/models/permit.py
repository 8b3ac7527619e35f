"""The right to deploy what was allowed: once, and soon."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models

from audit.models.governed import Governed

#: A permit that was used ahead (``permit consume``) may record its deployment this long afterwards.
RECORD_WITHIN = timedelta(hours=1)


class Permit(Governed):
    """Only the SHA-256 of the secret is stored. Bound to one decision, and so to environment and subject."""

    decision = models.ForeignKey("governance.Decision", on_delete=models.PROTECT, related_name="permits")
    secret_digest = models.CharField(max_length=71, unique=True)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    issued_to = models.CharField(max_length=80)
    consumed_at = models.DateTimeField(null=True, blank=True)
    consumed_by = models.CharField(max_length=80, blank=True)
    #: When the clock noted that nothing was recorded of a use in time (``governance.claims``).
    lapsed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=models.Q(consumed_at__isnull=True, consumed_by="")
                | (models.Q(consumed_at__isnull=False) & ~models.Q(consumed_by="")),
                name="permit_consumed_by_someone",
            ),
            models.CheckConstraint(
                condition=models.Q(lapsed_at__isnull=True)
                | models.Q(consumed_at__isnull=False, lapsed_at__gte=models.F("consumed_at") + RECORD_WITHIN),
                name="permit_lapses_after_its_use",
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

    @property
    def record_until(self) -> datetime | None:
        """Until when a use takes the record of its deployment; None for a permit that was not used."""
        return self.consumed_at + RECORD_WITHIN if self.consumed_at else None

    def is_late(self, at: datetime) -> bool:
        """Whether it was used and its deployment can be recorded no more, whatever the clock has noted."""
        return self.record_until is not None and self.record_until <= at
