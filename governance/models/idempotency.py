"""Answers kept for seven days so that a repeated request is answered, not done again."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from governance.models.user import User

KEPT_FOR = timedelta(days=7)


class IdempotencyQuerySet(models.QuerySet["IdempotencyRecord"]):
    def outdated(self, now: datetime | None = None) -> IdempotencyQuerySet:
        return self.filter(created_at__lte=(now or timezone.now()) - KEPT_FOR)


class IdempotencyRecord(models.Model):
    """The answer to one request with an ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header).

    Not governed: it repeats what was answered and changes nothing by itself. Written in the same transaction as the
    change that it answers for: there is never a change without its answer, nor an answer without its change. An answer
    can hold a permit's secret, so neither the body nor the caller's key can be read here (``governance.api.sealing``).
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="kept_answers")
    key_digest = models.CharField(max_length=64)
    key_hint = models.CharField(max_length=6)
    #: Which of the installation's secrets the digests and the body were made with.
    secret_name = models.CharField(max_length=16)
    request_line = models.CharField(max_length=2100)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField(default=dict)
    sealed_body = models.BinaryField()
    #: From then on, or once the permit was used, the answer is no longer true and is refused instead of repeated.
    stale_at = models.DateTimeField(null=True)
    permit = models.ForeignKey("governance.Permit", on_delete=models.CASCADE, null=True, related_name="kept_answers")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    objects = IdempotencyQuerySet.as_manager()

    class Meta:
        db_table = "governance_idempotency"
        constraints = (models.UniqueConstraint(name="idempotency_user_key", fields=("user", "key_digest")),)

    def is_stale(self, now: datetime) -> bool:
        """Whether the answer says something that held when it was given and does not hold now."""
        over = self.stale_at is not None and self.stale_at <= now
        return over or (self.permit is not None and self.permit.consumed_at is not None)

    def __str__(self) -> str:
        return f"{self.request_line} {self.key_digest[:12]}"
