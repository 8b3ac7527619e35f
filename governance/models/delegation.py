"""One person lets another sign in their place: in one role, for a time, and no further."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from audit.models.governed import Governed
from governance.models.roles import Role

#: An absence, not a transfer of the role; a sign-off rule may allow less.
LONGEST = timedelta(days=90)


class Delegation(Governed):
    """``delegator`` and ``delegate`` are actor ids. What was delegated never changes; it can only end earlier.

    Nothing here lets anybody sign: a sign-off rule that allows delegation reads it, and asks everything again.
    """

    reference = models.CharField(max_length=40, unique=True)
    role = models.CharField(max_length=40)
    delegator = models.CharField(max_length=80)
    delegate = models.CharField(max_length=80)
    made_at = models.DateTimeField()
    reauth_at = models.DateTimeField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.TextField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=80, blank=True, default="")
    ended_reason = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["-id"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["delegate", "ends_at"], name="delegation_to"),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="delegation_role"),
            models.CheckConstraint(condition=~Q(delegate=F("delegator")), name="delegation_to_another"),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="delegation_ends_later"),
            models.CheckConstraint(condition=Q(starts_at__gte=F("made_at")), name="delegation_not_backdated"),
            models.CheckConstraint(condition=Q(ends_at__lte=F("starts_at") + LONGEST), name="delegation_is_short"),
            models.CheckConstraint(condition=~Q(reason=""), name="delegation_says_why"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by="", ended_reason="")
                | (Q(ended_at__isnull=False) & ~Q(ended_by="") & ~Q(ended_reason="")),
                name="delegation_ended_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def subject(self) -> str:
        return f"delegation:{self.reference}"

    def standing(self, at: datetime) -> str:
        """A word of ``config.states``: revoked, expired, scheduled or active."""
        if self.ended_at is not None:
            return "revoked"
        if self.ends_at <= at:
            return "expired"
        return "scheduled" if self.starts_at > at else "active"
