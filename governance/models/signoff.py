"""A person's signature on exactly what was shown to them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed


class Meaning(models.TextChoices):
    """What a signature says (21 CFR 11.50(a)(3))."""

    APPROVE = "approve", _("approves")
    REJECT = "reject", _("rejects")


class SignOff(Governed):
    """Append-only: a trigger refuses every UPDATE but the erasure of ``comment``.

    ``signer`` is the pseudonymous actor id; the printed name goes with the entry, where it can be erased without
    breaking the log. ``reauth_at`` is when the signer last proved who they are (21 CFR 11.200(a)(1)).
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

    class Meta:
        ordering = ["id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["promotion", "round", "signer"], name="signoff_one_per_person"),
            models.CheckConstraint(condition=models.Q(meaning__in=Meaning.values), name="signoff_meaning_known"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"promotion:{self.promotion_id}"

    @property
    def about(self) -> dict[str, str]:
        return self.promotion.about
