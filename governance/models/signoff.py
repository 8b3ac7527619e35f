"""A person's signature on exactly what was shown to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed


class Meaning(models.TextChoices):
    """What a signature says (21 CFR 11.50(a)(3))."""

    APPROVE = "approve", _("approves")
    REJECT = "reject", _("rejects")


#: How a signer may have proved who they are, in the order in which they are written.
FACTORS = ("password", "totp", "passkey")


def factors_proved(words: Iterable[str]) -> int:
    """How many factors these are: 1 or 2. A passkey is two, since its holder was verified by PIN or biometry."""
    given = set(words)
    return 2 if "passkey" in given or {"password", "totp"} <= given else 1


def _password() -> list[str]:
    return ["password"]


class SignOff(Governed):
    """Append-only: a trigger refuses every UPDATE but the erasure of ``comment``.

    ``signer`` is the pseudonymous actor id; the printed name goes with the entry, where it can be erased without
    breaking the log. ``reauth_at`` is when the signer last proved who they are (21 CFR 11.200(a)(1)). ``delegation``:
    under which they signed for somebody else. ``replaces``: the signature that they took back before; without one, a
    person signs once in a round.
    """

    promotion = models.ForeignKey("governance.Promotion", on_delete=models.PROTECT, related_name="signoffs")
    round = models.PositiveIntegerField()
    signer = models.CharField(max_length=80)
    role = models.CharField(max_length=40)
    meaning = models.CharField(max_length=16, choices=Meaning.choices)
    statement = models.TextField()
    comment = models.TextField()
    subject_digest = models.CharField(max_length=71)
    decision_seen = models.ForeignKey("governance.Decision", on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField()
    reauth_at = models.DateTimeField()
    delegation = models.ForeignKey(
        "governance.Delegation", on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    replaces = models.OneToOneField("self", on_delete=models.PROTECT, related_name="replaced_by", null=True, blank=True)
    factors = ArrayField(models.CharField(max_length=10), default=_password)

    class Meta:
        ordering = ["id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["promotion", "round", "signer"],
                condition=models.Q(replaces__isnull=True),
                name="signoff_one_per_person",
            ),
            models.CheckConstraint(condition=models.Q(meaning__in=Meaning.values), name="signoff_meaning_known"),
            models.CheckConstraint(
                condition=models.Q(factors__contained_by=list(FACTORS)) & ~models.Q(factors=[]),
                name="signoff_factors_known",
            ),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"promotion:{self.promotion_id}"

    @property
    def factor_count(self) -> int:
        """1 or 2."""
        return factors_proved(self.factors)

    @property
    def about(self) -> dict[str, str]:
        return self.promotion.about


class RetractionKind(models.TextChoices):
    """What was taken back: an approval is revoked, a rejection reopened."""

    REVOKED = "revoked", _("revoked")
    REOPENED = "reopened", _("reopened")


class Retraction(Governed):
    """A signature that was taken back; the signature itself stays as it was given. Append-only like it.

    ``as_owner``: by a policy owner, not by who signed.
    """

    signoff = models.OneToOneField(SignOff, on_delete=models.PROTECT, related_name="retraction")
    kind = models.CharField(max_length=16, choices=RetractionKind.choices)
    retracted_by = models.CharField(max_length=80)
    as_owner = models.BooleanField()
    reason = models.TextField()
    retracted_at = models.DateTimeField()
    reauth_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(kind__in=RetractionKind.values), name="retraction_kind_known"),
            models.CheckConstraint(condition=~models.Q(reason=""), name="retraction_says_why"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"

    @property
    def subject(self) -> str:
        return f"promotion:{self.signoff.promotion_id}"

    @property
    def about(self) -> dict[str, str]:
        return self.signoff.about
