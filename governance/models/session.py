"""What the throttle of the sign-in page remembers."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class SignInAttempt(models.Model):
    """A refused sign-in, for the throttle. Not governed: the entry ``session.refused`` is the record.

    Names and addresses are stored as a keyed digest, so that a typed password or a stranger's address is never kept.
    """

    key = models.CharField(max_length=64)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "governance_sign_in_attempt"
        indexes = (models.Index(name="sign_in_attempt_key_at", fields=("key", "at")),)

    def __str__(self) -> str:
        return f"{self.key[:12]} {self.at:%Y-%m-%d %H:%M:%S}"
