"""The exception to one rule for one version in one environment: by whom, why, what is done instead, until when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from registry.models import Environment, ModelVersion

#: A waiver is an exception with an end, not another policy; to go on, another one is proposed and approved.
LONGEST = timedelta(days=90)
#: What ends within this time is shown as ending.
SOON = timedelta(days=14)


class WaiverState(models.TextChoices):
    """Stored. That an active one has not begun or is over says the clock (``Waiver.standing``), nothing is stored."""

    PROPOSED = "proposed", _("proposed")
    ACTIVE = "active", _("active")
    REVOKED = "revoked", _("revoked")


class Waiver(Governed):
    """``subjects`` are those of the findings that it excuses, such as ``version:credit-scoring/7``.

    Two people are needed: who proposed it cannot approve it, and the database refuses it too. What was proposed never
    changes, but for free text of a person who is erased.
    """

    reference = models.CharField(max_length=40, unique=True)
    pack = models.CharField(max_length=80)
    #: The version of the pack whose text was waived; another text has to be waived anew.
    pack_version = models.PositiveIntegerField()
    rule = models.CharField(max_length=80)
    subjects: models.JSONField[list[str]] = models.JSONField(default=list)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    #: What is done instead of what the rule asks for.
    control = models.TextField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=WaiverState.choices, default=WaiverState.PROPOSED)
    requested_by = models.CharField(max_length=80)
    requested_at = models.DateTimeField()
    approved_by = models.CharField(max_length=80, blank=True, default="")
    approved_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=80, blank=True, default="")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.TextField(blank=True, default="")
    #: When what serves was decided again because this one had ended or was revoked.
    followed_up_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("waiver")
        verbose_name_plural = _("waivers")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["version", "environment"], name="waiver_of_a_case"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(state__in=WaiverState.values), name="waiver_state"),
            models.CheckConstraint(condition=~Q(approved_by=F("requested_by")), name="waiver_two_people"),
            models.CheckConstraint(
                condition=~Q(state="active") | (~Q(approved_by="") & Q(approved_at__isnull=False)),
                name="waiver_active_is_approved",
            ),
            models.CheckConstraint(
                condition=~Q(state="revoked")
                | (Q(revoked_at__isnull=False) & ~Q(revoked_by="") & ~Q(revoked_reason="")),
                name="waiver_revoked_by_someone",
            ),
            models.CheckConstraint(condition=~Q(subjects=[]), name="waiver_names_a_subject"),
            models.CheckConstraint(condition=~Q(reason="") & ~Q(control=""), name="waiver_says_why"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="waiver_ends_later"),
            models.CheckConstraint(condition=Q(ends_at__lte=F("starts_at") + LONGEST), name="waiver_is_short"),
            models.CheckConstraint(
                condition=Q(approved_at__isnull=True) | Q(approved_at__lt=F("ends_at")), name="waiver_approved_in_time"
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def subject(self) -> str:
        return f"waiver:{self.reference}"

    @property
    def about(self) -> dict[str, str]:
        return {"version": self.version.subject, "environment": self.environment.slug}

    def get_absolute_url(self) -> str:
        return reverse("governance:waiver", args=[self.reference])

    def runs(self, at: datetime, in_force: Mapping[str, int]) -> bool:
        """Whether it is approved, not revoked, ``at`` lies in its window, and the version of its pack is ``in_force``
        (name -> version). The pure engine asks the same again.
        """
        approved = self.state == WaiverState.ACTIVE and in_force.get(self.pack) == self.pack_version
        return approved and self.starts_at <= at < self.ends_at

    def standing(self, at: datetime, in_force: Mapping[str, int]) -> str:
        """A word of ``config.states``: revoked, expired, superseded (another version of its pack is ``in_force``),
        proposed, scheduled, expiring or active.
        """
        if self.state == WaiverState.REVOKED:
            return "revoked"
        if self.ends_at <= at:
            return "expired"
        if in_force.get(self.pack) != self.pack_version:
            return "superseded"
        if self.state == WaiverState.PROPOSED:
            return "proposed"
        if self.starts_at > at:
            return "scheduled"
        return "expiring" if self.ends_at - at <= SOON else "active"
