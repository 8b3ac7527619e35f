"""The public keys whose signatures on evidence are believed, and for which types."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from governance.models.evidence import EvidenceType
from governance.models.transfer import DIGEST_PATTERN


class EvidenceKeyState(models.TextChoices):
    PROPOSED = "proposed", _("proposed")
    ACTIVE = "active", _("active")
    WITHDRAWN = "withdrawn", _("withdrawn")


class EvidenceKey(Governed):
    """A public key of who issues evidence, and the ``types`` that it may sign.

    Two people are needed: who proposed it cannot confirm it, and the database refuses it too. A key is never changed:
    it is withdrawn, for good, and another one is proposed. ``fingerprint`` is of its SubjectPublicKeyInfo in DER.
    """

    reference = models.SlugField(max_length=40, unique=True)
    #: What rules and people call it.
    name = models.CharField(max_length=128, unique=True)
    public_key = models.TextField()
    fingerprint = models.CharField(max_length=71, unique=True)
    types: ArrayField[list[str], list[str]] = ArrayField(models.CharField(max_length=24))
    state = models.CharField(max_length=9, choices=EvidenceKeyState.choices, default=EvidenceKeyState.PROPOSED)
    proposed_by = models.CharField(max_length=80)
    proposed_at = models.DateTimeField()
    confirmed_by = models.CharField(max_length=80, blank=True, default="")
    confirmed_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.CharField(max_length=80, blank=True, default="")
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_reason = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        verbose_name = _("key of evidence")
        verbose_name_plural = _("keys of evidence")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(state__in=EvidenceKeyState.values), name="evidence_key_state"),
            models.CheckConstraint(condition=Q(fingerprint__regex=DIGEST_PATTERN), name="evidence_key_fingerprint"),
            models.CheckConstraint(
                condition=Q(types__contained_by=EvidenceType.values) & ~Q(types=[]), name="evidence_key_types"
            ),
            models.CheckConstraint(condition=~Q(confirmed_by=F("proposed_by")), name="evidence_key_two_people"),
            models.CheckConstraint(
                condition=~Q(state="active") | (~Q(confirmed_by="") & Q(confirmed_at__isnull=False)),
                name="evidence_key_active_is_confirmed",
            ),
            models.CheckConstraint(
                condition=~Q(state="withdrawn")
                | (Q(withdrawn_at__isnull=False) & ~Q(withdrawn_by="") & ~Q(withdrawn_reason="")),
                name="evidence_key_withdrawn_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def subject(self) -> str:
        return f"evidence_key:{self.reference}"

    def get_absolute_url(self) -> str:
        return reverse("governance:evidence_key", args=[self.reference])
