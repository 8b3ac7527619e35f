"""What shows that something was done for a version: a document by its digest, its author, its files and its end."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from governance.models.transfer import DIGEST_PATTERN
from registry.models import Environment, ModelVersion


class EvidenceType(models.TextChoices):
    """What a piece of evidence is. The list is closed, because rules ask by it; ``SAYS`` has a sentence for each."""

    VALIDATION_REPORT = "validation_report", _("validation report")
    FAIRNESS = "fairness", _("fairness assessment")
    PRIVACY_CHECK = "privacy_check", _("privacy check")
    DRIFT_BASELINE = "drift_baseline", _("drift baseline")
    EXPLANATION = "explanation", _("explanation")
    SECURITY_SCAN = "security_scan", _("security scan")
    MODEL_CARD = "model_card", _("model card")
    INTENDED_USE = "intended_use", _("intended use")
    DPIA = "dpia", _("data-protection impact assessment")
    LOAD_TEST = "load_test", _("load test")
    ROLLBACK_DRILL = "rollback_drill", _("rollback drill")
    MONITORING_PLAN = "monitoring_plan", _("monitoring plan")
    HUMAN_OVERSIGHT = "human_oversight", _("human oversight")
    LOGGING = "logging", _("logging")
    CONTAINER = "container", _("serving image")
    FUNDAMENTAL_RIGHTS = "fundamental_rights", _("fundamental-rights impact assessment")


SAYS: dict[EvidenceType, Promise] = {
    EvidenceType.VALIDATION_REPORT: _("The version was measured on data that it had not learned from."),
    EvidenceType.FAIRNESS: _("Its errors were compared between groups of people."),
    EvidenceType.PRIVACY_CHECK: _("It was tested for what it gives away about the people in its training data."),
    EvidenceType.DRIFT_BASELINE: _("What its inputs and outputs look like is recorded, to tell when they change."),
    EvidenceType.EXPLANATION: _("How its outputs come about can be explained to a person whom they affect."),
    EvidenceType.SECURITY_SCAN: _("Its files and what they need were scanned for known weaknesses."),
    EvidenceType.MODEL_CARD: _("What it is, what it learned from and what it cannot do is written down."),
    EvidenceType.INTENDED_USE: _("What it is for, and what it must not be used for, is written down."),
    EvidenceType.DPIA: _("What its processing means for the people concerned was assessed."),
    EvidenceType.LOAD_TEST: _("It was put under the load that production will bring."),
    EvidenceType.ROLLBACK_DRILL: _("Going back to the version before was practised."),
    EvidenceType.MONITORING_PLAN: _("What is watched in production, by whom, and what is done then, is decided."),
    EvidenceType.HUMAN_OVERSIGHT: _("A person can understand, overrule and stop it; who that is, is decided."),
    EvidenceType.LOGGING: _("Its events are logged by themselves, and how long the logs are kept is decided."),
    EvidenceType.CONTAINER: _("The digest of the image that serves it; the document is the image itself."),
    EvidenceType.FUNDAMENTAL_RIGHTS: _("What its use means for the fundamental rights of people was assessed."),
}


class EvidenceState(models.TextChoices):
    ACTIVE = "active", _("active")
    WITHDRAWN = "withdrawn", _("withdrawn")


class EvidenceQuerySet(models.QuerySet["Evidence"]):
    def ending(self, after: datetime, until: datetime) -> EvidenceQuerySet:
        """What still counts ``after`` one moment and ends ``until`` another."""
        return self.filter(state=EvidenceState.ACTIVE, expires_at__gt=after, expires_at__lte=until)

    def signers(self) -> EvidenceQuerySet:
        """With ``key_name``: that of the key that signed it, empty when none did or it was withdrawn since."""
        named = When(signed_by__state="active", then=F("signed_by__name"))
        return self.annotate(key_name=Case(named, default=Value(""), output_field=models.CharField()))


class Evidence(Governed):
    """Evidence for one version in one environment, or in every one when ``environment`` is empty.

    ``digest`` is of the document, which is not kept; ``artifact_digest`` of the version's files as the registry had it
    when the evidence was recorded. What was recorded never changes: it is withdrawn or ends, and another is recorded.
    Only the author's name can go, when that person is erased.
    """

    reference = models.SlugField(max_length=40, unique=True)
    type = models.CharField(max_length=24, choices=EvidenceType.choices)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="evidence")
    environment = models.ForeignKey(
        Environment, on_delete=models.PROTECT, related_name="evidence", null=True, blank=True
    )
    artifact_digest = models.CharField(max_length=71)
    digest = models.CharField(max_length=71)
    title = models.CharField(max_length=200)
    #: Who made the document, as it names them.
    author = models.CharField(max_length=200)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    recorded_at = models.DateTimeField()
    #: Actor id of who put it on record.
    issued_by = models.CharField(max_length=80)
    #: The key whose signature over a statement about the files held when this was recorded; empty: it is unsigned.
    signed_by = models.ForeignKey(
        "governance.EvidenceKey", on_delete=models.PROTECT, related_name="evidence", null=True, blank=True
    )
    envelope_digest = models.CharField(max_length=71, blank=True, default="")
    verified_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=9, choices=EvidenceState.choices, default=EvidenceState.ACTIVE)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.CharField(max_length=80, blank=True, default="")
    withdrawn_reason = models.TextField(blank=True, default="")

    objects = EvidenceQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("evidence")
        verbose_name_plural = _("pieces of evidence")
        indexes = [models.Index(fields=["version", "type"], name="evidence_of_version")]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(type__in=EvidenceType.values), name="evidence_type"),
            models.CheckConstraint(condition=Q(state__in=EvidenceState.values), name="evidence_state"),
            models.CheckConstraint(
                condition=Q(digest__regex=DIGEST_PATTERN, artifact_digest__regex=DIGEST_PATTERN),
                name="evidence_digests",
            ),
            models.CheckConstraint(condition=Q(issued_at__lte=F("recorded_at")), name="evidence_issued_before"),
            models.CheckConstraint(
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("issued_at")), name="evidence_ends_later"
            ),
            models.CheckConstraint(
                condition=~Q(title="") & ~Q(author="") & ~Q(issued_by=""), name="evidence_says_what_and_who"
            ),
            models.CheckConstraint(
                condition=Q(state="active", withdrawn_at__isnull=True, withdrawn_by="", withdrawn_reason="")
                | Q(state="withdrawn", withdrawn_at__isnull=False) & ~Q(withdrawn_by="") & ~Q(withdrawn_reason=""),
                name="evidence_withdrawn_by_someone",
            ),
            models.CheckConstraint(
                condition=Q(signed_by__isnull=True, envelope_digest="", verified_at__isnull=True)
                | Q(signed_by__isnull=False, envelope_digest__regex=DIGEST_PATTERN, verified_at__isnull=False),
                name="evidence_signed_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def subject(self) -> str:
        return f"evidence:{self.reference}"

    @property
    def about(self) -> dict[str, str]:
        place = {"environment": self.environment.subject} if self.environment else {}
        return {"version": self.version.subject, **place}

    @property
    def where(self) -> str:
        """Slug of its environment; empty for every one."""
        return self.environment.slug if self.environment else ""

    @property
    def signer(self) -> str:
        """Name of the key that signed it; empty when none did or it was withdrawn since. Select it with the row."""
        return self.signed_by.name if self.signed_by and self.signed_by.state == "active" else ""

    @property
    def says(self) -> str:
        """What a piece of this type shows, in a sentence."""
        return str(SAYS[EvidenceType(self.type)])

    def get_absolute_url(self) -> str:
        return reverse("governance:evidence_detail", args=[self.reference])

    def stale(self, *, at: datetime, digest: str) -> tuple[str, ...]:
        """Why no rule may rely on it at that moment for a version with ``digest``: «withdrawn», «expired»,
        «made for another digest»; empty when it is fresh."""
        why = {
            "withdrawn": self.state != EvidenceState.ACTIVE,
            "expired": self.expires_at is not None and self.expires_at <= at,
            "another_digest": self.artifact_digest != digest,
        }
        return tuple(name for name, holds in why.items() if holds)

    def frozen(self) -> dict[str, Any]:
        """The facts about it that a rule can read."""
        return {
            "id": self.reference,
            "type": self.type,
            "status": self.state,
            "digest": self.digest,
            "artifact_digest": self.artifact_digest,
            "issued_by": self.issued_by,
            "issued_at": self.issued_at,
            "expires_at": self.expires_at,
        }
