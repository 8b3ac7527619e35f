"""What a person proves who they are with besides the password, and what their own key signed."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from governance.models.signoff import SignOff
from governance.models.user import User


class FactorKind(models.TextChoices):
    """``totp``: RFC 6238; ``passkey``: W3C WebAuthn Level 2."""

    TOTP = "totp", _("authenticator app")
    PASSKEY = "passkey", _("passkey")


class SecondFactorQuerySet(models.QuerySet["SecondFactor"]):
    def of(self, owner: User) -> SecondFactorQuerySet:
        """What ``owner`` can prove now, oldest first."""
        return self.filter(owner=owner, removed_at__isnull=True).order_by("pk")


class SecondFactor(Governed):
    """A confirmed factor of a person.

    Whoever removes it takes the secret and the credential id with it. A passkey's public key stays for ever: it is what
    shows that past signatures were theirs.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="factors")
    kind = models.CharField(max_length=10, choices=FactorKind.choices)
    label = models.CharField(max_length=100)
    #: The secret of an authenticator app, encrypted (``governance.totp``).
    sealed = models.BinaryField(null=True)
    #: Base64url. At most 1,023 bytes (WebAuthn section 4, «Credential ID»).
    credential_id = models.CharField(max_length=1400, blank=True, default="")
    #: COSE_Key (RFC 9052) of a passkey.
    cose_key = models.BinaryField(null=True)
    #: The entry with which its person enrolled it: what the log says of its key.
    entry = models.UUIDField(editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    removed_at = models.DateTimeField(null=True, blank=True)
    removed_by = models.CharField(max_length=80, blank=True, default="")

    objects = SecondFactorQuerySet.as_manager()

    class Meta:
        db_table = "governance_factor"
        ordering = ("pk",)
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="factor_kind", condition=Q(kind__in=FactorKind.values)),
            models.CheckConstraint(
                name="factor_is_whole",
                condition=Q(removed_at__isnull=False)
                | Q(kind="totp", sealed__isnull=False)
                | (Q(kind="passkey", cose_key__isnull=False) & ~Q(credential_id="")),
            ),
            models.CheckConstraint(
                name="factor_removed_keeps_no_secret",
                condition=Q(removed_at__isnull=True) | (Q(sealed__isnull=True, credential_id="") & ~Q(removed_by="")),
            ),
            models.UniqueConstraint(
                name="factor_one_app", fields=["owner"], condition=Q(kind="totp", removed_at__isnull=True)
            ),
            models.UniqueConstraint(
                name="factor_one_credential", fields=["credential_id"], condition=~Q(credential_id="")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.uuid}"

    @property
    def subject(self) -> str:
        return f"factor:{self.uuid}"

    @property
    def is_passkey(self) -> bool:
        return self.kind == FactorKind.PASSKEY


class FactorUse(models.Model):
    """The newest time step of an app's code, or a passkey's counter, that was accepted: none counts twice.

    Not governed: what the proof was good for has its entry.
    """

    factor = models.OneToOneField(SecondFactor, on_delete=models.CASCADE, primary_key=True, related_name="use")
    newest = models.BigIntegerField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "governance_factor_use"

    def __str__(self) -> str:
        return f"{self.factor_id} {self.newest}"


class FactorChallenge(models.Model):
    """What a browser was asked to sign: once, within minutes, in one session, for one address.

    Not governed: it allows nothing by itself. ``document`` is what the challenge is the SHA-256 of, where it is one.
    """

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="challenges")
    #: HMAC of the session's key.
    session = models.CharField(max_length=64)
    #: Where the answer will be sent.
    path = models.CharField(max_length=400)
    challenge = models.CharField(max_length=64, unique=True)
    document: models.JSONField[dict[str, str | int] | None] = models.JSONField(null=True)
    salt = models.CharField(max_length=64, blank=True, default="")
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "governance_factor_challenge"

    def __str__(self) -> str:
        return f"{self.path} {self.challenge[:12]}"


class PersonalSignature(Governed):
    """What the signer's own key signed: ``document``, by way of its SHA-256 as WebAuthn's challenge. Append-only.

    All bytes are base64url. ``credential_id`` and ``comment_salt`` go when the person is erased; the signature verifies
    without them (``governance.assertions``).
    """

    signoff = models.OneToOneField(SignOff, on_delete=models.PROTECT, related_name="personal")
    factor = models.ForeignKey(SecondFactor, on_delete=models.PROTECT, related_name="+")
    document: models.JSONField[dict[str, str | int]] = models.JSONField()
    authenticator_data = models.TextField()
    client_data = models.TextField()
    signature = models.TextField()
    credential_id = models.CharField(max_length=1400, blank=True)
    comment_salt = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "governance_personal_signature"
        ordering = ("pk",)
        verbose_name = _("personal signature")
        verbose_name_plural = _("personal signatures")

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"promotion:{self.signoff.promotion_id}"

    @property
    def about(self) -> dict[str, str]:
        return self.signoff.about
