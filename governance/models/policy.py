"""A policy pack: the text of the rules, immutable and addressed by its content."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed


class PackState(models.TextChoices):
    DRAFT = "draft", _("draft")
    SCHEDULED = "scheduled", _("scheduled")
    ACTIVE = "active", _("active")
    RETIRED = "retired", _("retired")


class PolicyPack(Governed):
    """One version of one pack. ``text`` is the YAML exactly as drafted; ``digest`` is its content address.

    At most one version of a pack is active, and at most one waits for its instant. What is active applies to every gate
    check, always as a conjunction with the other active packs. ``activated_at`` is from when a version decides, which
    is to come for a scheduled one: from that moment it decides in place of the active one, though both rows may still
    say what was before (``governance.packs.active_packs``).
    """

    slug = models.SlugField(max_length=80)
    version = models.PositiveIntegerField()
    title = models.CharField(max_length=200, blank=True)
    text = models.TextField()
    digest = models.CharField(max_length=71)
    state = models.CharField(max_length=16, choices=PackState.choices, default=PackState.DRAFT)
    drafted_at = models.DateTimeField()
    drafted_by = models.CharField(max_length=80)
    activated_at = models.DateTimeField(null=True, blank=True)
    activated_by = models.CharField(max_length=80, blank=True)

    class Meta:
        ordering = ["slug", "-version"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["slug", "version"], name="policy_pack_version"),
            models.UniqueConstraint(fields=["slug"], condition=models.Q(state="active"), name="policy_pack_one_active"),
            models.UniqueConstraint(
                fields=["slug"], condition=models.Q(state="scheduled"), name="policy_pack_one_scheduled"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="scheduled")
                | (models.Q(activated_at__isnull=False) & ~models.Q(activated_by="")),
                name="policy_pack_scheduled_by_someone",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="active") | models.Q(activated_at__isnull=False), name="policy_pack_activated"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slug} v{self.version}"

    @property
    def subject(self) -> str:
        return f"pack:{self.slug}/{self.version}"
