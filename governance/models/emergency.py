"""What went without its signatures in an emergency, by whom, until when, and who looked at it afterwards."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from registry.models import Environment, ModelVersion

#: A declaration that nobody confirms within this time is void: what was shown then may not be what is now.
CONFIRM_WITHIN = timedelta(hours=1)


class EmergencyKind(models.TextChoices):
    """A deploy that two people let go without its signatures, or a rollback, which never needs any."""

    BREAK_GLASS = "break_glass", _("break-glass")
    ROLLBACK = "rollback", _("rollback")


class EmergencyState(models.TextChoices):
    """Stored. That one is over, or that its review is late, says the clock (``Emergency.standing``)."""

    DECLARED = "declared", _("declared")
    CONFIRMED = "confirmed", _("confirmed")
    WITHDRAWN = "withdrawn", _("withdrawn")
    RATIFIED = "ratified", _("ratified")
    NOT_RATIFIED = "not_ratified", _("not ratified")


class Emergency(Governed):
    """One version in one environment, exactly as it was then (``subject_digest``), from ``starts_at`` to ``ends_at``.

    ``skipped`` are the signatures that were missing: ``{"rule", "role", "n"}`` each. A rollback is born confirmed, has
    no second person and lasts no time; what is left of it is the review. Who declared or confirmed it never reviews it,
    which the database refuses too.
    """

    reference = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=16, choices=EmergencyKind.choices, default=EmergencyKind.BREAK_GLASS)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    subject_digest = models.CharField(max_length=71)
    skipped: models.JSONField[list[dict[str, Any]]] = models.JSONField(default=list)
    incident = models.CharField(max_length=200)
    reason = models.TextField()
    duration = models.DurationField()
    review_by: models.JSONField[list[str]] = models.JSONField(default=list)
    review_within = models.DurationField()
    state = models.CharField(max_length=16, choices=EmergencyState.choices, default=EmergencyState.DECLARED)
    declared_by = models.CharField(max_length=80)
    declared_at = models.DateTimeField()
    confirmed_by = models.CharField(max_length=80, blank=True, default="")
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    review_due_at = models.DateTimeField(null=True, blank=True)
    reviewed_by = models.CharField(max_length=80, blank=True, default="")
    reviewed_at = models.DateTimeField(null=True, blank=True)
    review_reason = models.TextField(blank=True, default="")
    #: What the clock noted: that the time was over, that the review was late, that another version serves by now.
    ended_noted_at = models.DateTimeField(null=True, blank=True)
    lapsed_noted_at = models.DateTimeField(null=True, blank=True)
    replaced_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("emergency")
        verbose_name_plural = _("emergencies")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["id"], condition=Q(state="confirmed"), name="emergency_unreviewed"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(state__in=EmergencyState.values), name="emergency_state"),
            models.CheckConstraint(condition=Q(kind__in=EmergencyKind.values), name="emergency_kind"),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(incident=""), name="emergency_says_why"),
            models.CheckConstraint(condition=~Q(review_by=[]), name="emergency_is_reviewed_by_someone"),
            models.CheckConstraint(condition=~Q(confirmed_by=F("declared_by")), name="emergency_two_people"),
            models.CheckConstraint(
                condition=Q(state__in=["declared", "withdrawn"])
                | (Q(starts_at__isnull=False) & Q(ends_at__isnull=False) & Q(review_due_at__isnull=False)),
                name="emergency_confirmed_has_times",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["declared", "withdrawn"]) | Q(kind="rollback") | ~Q(confirmed_by=""),
                name="emergency_confirmed_by_someone",
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__lte=F("starts_at") + F("duration")),
                name="emergency_is_bounded",
            ),
            models.CheckConstraint(
                condition=Q(review_due_at__isnull=True)
                | Q(review_due_at__lte=F("starts_at") + F("duration") + F("review_within")),
                name="emergency_review_is_due",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["ratified", "not_ratified"])
                | (~Q(reviewed_by="") & Q(reviewed_at__isnull=False) & ~Q(review_reason="")),
                name="emergency_reviewed_with_reason",
            ),
            models.CheckConstraint(
                condition=Q(reviewed_by="") | (~Q(reviewed_by=F("declared_by")) & ~Q(reviewed_by=F("confirmed_by"))),
                name="emergency_reviewed_by_a_third",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def subject(self) -> str:
        return f"emergency:{self.reference}"

    @property
    def about(self) -> dict[str, str]:
        return {"version": self.version.subject, "environment": self.environment.slug}

    def get_absolute_url(self) -> str:
        return reverse("governance:emergency", args=[self.reference])

    def runs(self, at: datetime) -> bool:
        """Whether it is confirmed and ``at`` lies in its time. The pure engine asks the same again."""
        if self.state != EmergencyState.CONFIRMED or self.starts_at is None or self.ends_at is None:
            return False
        return self.starts_at <= at < self.ends_at

    def is_overdue(self, at: datetime) -> bool:
        """Whether nobody reviewed it in time: then it holds the model, whatever the clock's task has noted."""
        return self.state == EmergencyState.CONFIRMED and self.review_due_at is not None and self.review_due_at <= at

    def is_void(self, at: datetime) -> bool:
        """Whether it was declared and nobody confirmed it in time."""
        return self.state == EmergencyState.DECLARED and self.declared_at + CONFIRM_WITHIN <= at

    def standing(self, at: datetime) -> str:
        """A word of ``config.states``: proposed, expired, emergency, awaiting_review, overdue, withdrawn, ratified or
        not_ratified.
        """
        if self.state == EmergencyState.DECLARED:
            return "expired" if self.is_void(at) else "proposed"
        if self.state != EmergencyState.CONFIRMED:
            return str(self.state)
        if self.is_overdue(at):
            return "overdue"
        return "emergency" if self.runs(at) else "awaiting_review"
