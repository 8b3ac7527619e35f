"""The mechanism that makes a cross-border transfer lawful, with its document and its end."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed


class SafeguardType(models.TextChoices):
    """The three of article 4(1) of the Saudi Transfer Regulation v2.0."""

    SCC = "SCC", _("standard contractual clauses")
    BCR = "BCR", _("binding common rules")
    ACCREDITATION_CERT = "ACCREDITATION_CERT", _("certificate of accreditation")


class SafeguardStatus(models.TextChoices):
    PROPOSED = "proposed", _("proposed")
    ACTIVE = "active", _("active")
    REVOKED = "revoked", _("revoked")


class TransferSafeguard(Governed):
    """``subjects`` are strings such as ``dataset:loans-2026q3``; ``regions`` are ``provider:region``.

    Two people are needed: who recorded it cannot approve it, and the database refuses it too.
    """

    reference = models.SlugField(max_length=40, unique=True)
    type = models.CharField(max_length=24, choices=SafeguardType.choices)
    document = models.CharField(max_length=300)
    subjects: models.JSONField[list[str]] = models.JSONField(default=list)
    regions: models.JSONField[list[str]] = models.JSONField(default=list)
    status = models.CharField(max_length=16, choices=SafeguardStatus.choices, default=SafeguardStatus.PROPOSED)
    expires_at = models.DateTimeField()
    risk_assessment_at = models.DateTimeField(null=True, blank=True)
    recorded_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=80)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["reference"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=~models.Q(approved_by=models.F("recorded_by")), name="safeguard_two_people"
            ),
            models.CheckConstraint(
                condition=~models.Q(status="active") | ~models.Q(approved_by=""), name="safeguard_active_is_approved"
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def subject(self) -> str:
        return f"safeguard:{self.reference}"

    def frozen(self) -> dict[str, Any]:
        """The facts about this safeguard that a rule can read, JSON without floats."""
        return {
            "id": self.reference,
            "type": self.type,
            "status": self.status,
            "document": self.document,
            "subjects": sorted(self.subjects),
            "regions": sorted(self.regions),
            "expires_at": self.expires_at,
            "risk_assessment_at": self.risk_assessment_at,
        }
