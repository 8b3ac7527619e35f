"""The public half of the keys that sign attestations and permits."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed


class AttestationKey(Governed):
    """An Ed25519 key: its RFC 7638 thumbprint and its 32 bytes, both base64url. One is in use at a time.

    ``last_used_at`` is empty as long as it signs. A row stays when its key is retired, so that what it signed can be
    verified for ever; a trigger keeps every other column.
    """

    kid = models.CharField(max_length=43, unique=True)
    public_key = models.CharField(max_length=43)
    first_used_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    announced_by = models.CharField(max_length=80)
    retired_by = models.CharField(max_length=80, blank=True, default="")

    class Meta:
        verbose_name = _("key of attestations")
        verbose_name_plural = _("keys of attestations")
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                models.Value(1), condition=models.Q(last_used_at__isnull=True), name="attestation_key_one_in_use"
            ),
            models.CheckConstraint(
                condition=models.Q(last_used_at__isnull=True, retired_by="")
                | (models.Q(last_used_at__gte=models.F("first_used_at")) & ~models.Q(retired_by="")),
                name="attestation_key_retired_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"attestation_key:{self.kid}"

    @property
    def in_use(self) -> bool:
        """Whether it signs."""
        return self.last_used_at is None
