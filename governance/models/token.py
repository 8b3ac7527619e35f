"""API tokens: only a digest is kept, the secret is shown once."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from audit.models.governed import Governed
from governance.models.roles import SCOPES
from governance.models.user import User


class TokenQuerySet(models.QuerySet["ApiToken"]):
    def of(self, owner: User) -> TokenQuerySet:
        """Every token of ``owner``, newest first, each with its last use."""
        return self.filter(owner=owner).select_related("use").order_by("-created_at", "-id")

    def usable(self, now: datetime | None = None) -> TokenQuerySet:
        """Neither expired nor revoked. A revocation may lie in the future (grace of a rotation)."""
        now = now or timezone.now()
        return self.filter(Q(revoked_at__isnull=True) | Q(revoked_at__gt=now), expires_at__gt=now)


class ApiToken(Governed):
    """``csn_<identifier>_<secret>``: the identifier finds the row, SHA-256 of the whole proves the secret.

    The secret has 256 random bits, so a plain digest is enough: there is nothing to guess from a dictionary.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    identifier = models.CharField(max_length=8, unique=True)
    digest = models.CharField(max_length=64)
    label = models.CharField(max_length=100)
    scopes = ArrayField(models.CharField(max_length=30))
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="tokens")
    #: Who saw the secret, as an actor id: acts of a service account with it are theirs too. Empty: nobody noted it.
    issued_by = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = TokenQuerySet.as_manager()

    class Meta:
        db_table = "governance_token"
        ordering = ("-created_at", "-id")
        constraints = (
            models.CheckConstraint(name="token_digest_sha256", condition=Q(digest__regex=r"^[0-9a-f]{64}$")),
            models.CheckConstraint(
                name="token_scopes_known",
                condition=Q(scopes__contained_by=[str(scope) for scope in SCOPES]) & ~Q(scopes=[]),
            ),
            models.CheckConstraint(name="token_expires_after_issue", condition=Q(expires_at__gt=F("created_at"))),
        )

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.label})"

    @property
    def subject(self) -> str:
        return f"token:{self.uuid}"

    @property
    def prefix(self) -> str:
        """What may be shown and searched for in a leak: everything before the secret."""
        return f"csn_{self.identifier}_"

    def state(self, now: datetime | None = None) -> str:
        """``usable``, ``expired`` or ``revoked``."""
        now = now or timezone.now()
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        return "expired" if self.expires_at <= now else "usable"


class TokenUse(models.Model):
    """When a token was last used. Not governed and in a table of its own on purpose.

    It is a convenience for its owner, written at most once a minute; an entry per API call would bury the log.
    """

    token = models.OneToOneField(ApiToken, on_delete=models.CASCADE, primary_key=True, related_name="use")
    last_used_at = models.DateTimeField()

    class Meta:
        db_table = "governance_token_use"

    def __str__(self) -> str:
        return f"{self.token_id} {self.last_used_at:%Y-%m-%d %H:%M}"
