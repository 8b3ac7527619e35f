"""The mechanism that makes a cross-border transfer lawful, with its document, its parties and its end."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from registry.models import Perimeter

#: The parts of a risk assessment, by the letters of article 7(2) of the Saudi Transfer Regulation v2.0.
ELEMENTS = ("A", "B", "C", "D", "E", "F")
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"


class SafeguardType(models.TextChoices):
    """The first three are those of article 4(1) of the Saudi Transfer Regulation v2.0. Which of them a law accepts is
    for its pack to say."""

    SCC = "SCC", _("standard contractual clauses")
    BCR = "BCR", _("binding common rules")
    ACCREDITATION_CERT = "ACCREDITATION_CERT", _("certificate of accreditation")
    ADEQUACY = "ADEQUACY", _("adequacy decision")
    DEROGATION = "DEROGATION", _("derogation")


class SafeguardStatus(models.TextChoices):
    PROPOSED = "proposed", _("proposed")
    ACTIVE = "active", _("active")
    REVOKED = "revoked", _("revoked")


class DigestBasis(models.TextChoices):
    """Who computed the digest of the document: this server from the bytes, or the person who names it."""

    UPLOADED = "uploaded", _("computed here from the document that was uploaded, which is not kept")
    STATED = "stated", _("stated by who recorded it")


class TransferSafeguard(Governed):
    """``subjects`` are strings such as ``dataset:loans-2026q3``; ``regions`` are ``provider:region``.

    Two people are needed: who recorded it cannot approve it, and the database refuses it too. What was recorded never
    changes: a safeguard is revoked or ends, and another one is recorded in its place.
    """

    reference = models.SlugField(max_length=40, unique=True)
    type = models.CharField(max_length=24, choices=SafeguardType.choices)
    #: The jurisdiction under whose law it was made; empty for one from before it was asked, which excuses nothing.
    law = models.CharField(max_length=16, choices=Perimeter.choices, blank=True, default="", db_default="")
    document = models.CharField(max_length=300)
    document_digest = models.CharField(max_length=71, blank=True, default="", db_default="")
    digest_basis = models.CharField(max_length=8, choices=DigestBasis.choices, blank=True, default="", db_default="")
    exporter = models.CharField(max_length=200, blank=True, default="", db_default="")
    importer = models.CharField(max_length=200, blank=True, default="", db_default="")
    subjects: models.JSONField[list[str]] = models.JSONField(default=list)
    regions: models.JSONField[list[str]] = models.JSONField(default=list)
    status = models.CharField(max_length=16, choices=SafeguardStatus.choices, default=SafeguardStatus.PROPOSED)
    expires_at = models.DateTimeField()
    risk_assessment_at = models.DateTimeField(null=True, blank=True)
    #: Letter of ``ELEMENTS`` -> text; empty, or all six.
    assessment: models.JSONField[dict[str, str]] = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField()), blank=True
    )
    recorded_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=80)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_by = models.CharField(max_length=80, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=80, blank=True, default="", db_default="")
    revoked_reason = models.TextField(blank=True, default="", db_default="")
    #: When what serves was decided again because this one had expired or was revoked.
    followed_up_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["reference"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=~Q(approved_by=F("recorded_by")), name="safeguard_two_people"),
            models.CheckConstraint(
                condition=~Q(status="active") | (~Q(approved_by="") & Q(approved_at__isnull=False)),
                name="safeguard_active_is_approved",
            ),
            models.CheckConstraint(condition=Q(type__in=SafeguardType.values), name="safeguard_type"),
            models.CheckConstraint(condition=Q(law__in=["", *Perimeter.values]), name="safeguard_law"),
            models.CheckConstraint(condition=Q(status__in=SafeguardStatus.values), name="safeguard_status"),
            models.CheckConstraint(
                condition=~Q(status="revoked")
                | (Q(revoked_at__isnull=False) & ~Q(revoked_by="") & ~Q(revoked_reason="")),
                name="safeguard_revoked_by_someone",
            ),
            models.CheckConstraint(
                condition=Q(document_digest="", digest_basis="")
                | Q(document_digest__regex=DIGEST_PATTERN, digest_basis__in=DigestBasis.values),
                name="safeguard_digest",
            ),
            models.CheckConstraint(
                condition=Q(assessment={}) | Q(assessment__has_keys=ELEMENTS, risk_assessment_at__isnull=False),
                name="safeguard_assessed_whole",
            ),
            models.CheckConstraint(condition=~Q(subjects=[]) & ~Q(regions=[]), name="safeguard_covers_something"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("recorded_at")), name="safeguard_ends_later"),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def subject(self) -> str:
        return f"safeguard:{self.reference}"

    def standing(self, at: datetime) -> str:
        """What it is worth at a moment: ``proposed``, ``active``, ``revoked``, or ``ended`` once its end has come."""
        if self.status != SafeguardStatus.REVOKED and self.expires_at <= at:
            return "ended"
        return str(self.status)

    def get_absolute_url(self) -> str:
        return reverse("governance:transfer", args=[self.reference])

    def frozen(self) -> dict[str, Any]:
        """The facts about this safeguard that a rule can read, JSON without floats."""
        return {
            "id": self.reference,
            "type": self.type,
            "law": self.law,
            "status": self.status,
            "document": self.document,
            "subjects": sorted(self.subjects),
            "regions": sorted(self.regions),
            "expires_at": self.expires_at,
            "risk_assessment_at": self.risk_assessment_at,
        }


class HaltState(models.TextChoices):
    OPEN = "open", _("open")
    TAKEN = "taken", _("taken")
    DONE = "done", _("done")


class TransferHalt(Governed):
    """A safeguard ended while something relied on it: somebody has to halt the transfer and notify who received the
    data (Saudi Transfer Regulation v2.0, article 6(2)).

    ``relied`` are the deployments that were lawful by it: ``[{"deployment", "version", "environment"}, …]``.
    """

    safeguard = models.OneToOneField(TransferSafeguard, on_delete=models.PROTECT, related_name="halt")
    relied: models.JSONField[list[dict[str, str]]] = models.JSONField(default=list)
    opened_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=HaltState.choices, default=HaltState.OPEN)
    owner = models.CharField(max_length=80, blank=True, default="")
    done_at = models.DateTimeField(null=True, blank=True)
    done_by = models.CharField(max_length=80, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    #: Who was notified, as the person who did it named them.
    recipients: models.JSONField[list[str]] = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(state__in=HaltState.values), name="halt_state"),
            models.CheckConstraint(condition=~Q(state="taken") | ~Q(owner=""), name="halt_owner"),
            models.CheckConstraint(
                condition=~Q(state="done")
                | (Q(done_at__isnull=False) & ~Q(done_by="") & ~Q(reason="") & ~Q(recipients=[])),
                name="halt_done_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"halt:{self.safeguard.reference}"
