"""Incidents: what turned out to be unlawful or broken, since when, and what it holds back."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed


class IncidentState(models.TextChoices):
    """Open: known, holds nothing. Frozen: every gate check on what it reaches denies. Lifted and closed are ends."""

    OPEN = "open", _("open")
    FROZEN = "frozen", _("frozen")
    LIFTED = "lifted", _("lifted")
    CLOSED = "closed", _("closed")


class Incident(Governed):
    """``root`` is what it is about, in a form of ``registry.lineage.roots``: ``dataset:…``, ``run:…``, ``library:…``.

    ``held`` lists the versions that the root had reached when it was frozen. It is not what decides alone: a version
    is held when it is on the list *or* reached by the lineage at the moment of the decision. Migration 0007 lets a row
    only move forward: nothing of it changes but its state and what the new state adds.
    """

    reference = models.CharField(_("incident"), max_length=40, unique=True)
    title = models.CharField(_("title"), max_length=200)
    reason = models.TextField(_("reason"))
    root = models.CharField(_("what it is about"), max_length=200)
    #: From when on the root is unlawful; what served before is no part of it.
    since = models.DateTimeField(_("unlawful since"))
    state = models.CharField(_("state"), max_length=16, choices=IncidentState.choices, default=IncidentState.OPEN)
    opened_by = models.CharField(_("opened by"), max_length=128)
    opened_at = models.DateTimeField(_("opened"))
    frozen_by = models.CharField(_("frozen by"), max_length=128, blank=True)
    frozen_at = models.DateTimeField(_("frozen"), null=True, blank=True)
    frozen_reason = models.TextField(_("why it was frozen"), blank=True)
    held: models.JSONField[list[str]] = models.JSONField(_("versions held when it was frozen"), default=list)
    ended_by = models.CharField(_("ended by"), max_length=128, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    ended_reason = models.TextField(_("why it ended"), blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=IncidentState.values), name="registry_incident_state"),
            models.CheckConstraint(
                condition=~Q(state__in=["frozen", "lifted"]) | (~Q(frozen_by="") & Q(frozen_at__isnull=False)),
                name="registry_incident_frozen_by_someone",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["lifted", "closed"]) | (~Q(ended_by="") & Q(ended_at__isnull=False)),
                name="registry_incident_ended_by_someone",
            ),
            models.CheckConstraint(
                condition=~Q(state="lifted") | ~Q(ended_by=F("frozen_by")), name="registry_incident_two_people"
            ),
            models.CheckConstraint(condition=Q(since__lte=F("opened_at")), name="registry_incident_not_in_the_future"),
            models.CheckConstraint(
                condition=Q(root__regex=r"^(dataset|run|version|model|region|library):."), name="registry_incident_root"
            ),
        ]
        indexes = [
            models.Index(
                fields=["state"], condition=Q(state__in=["frozen", "lifted"]), name="registry_incident_counts"
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def subject(self) -> str:
        return f"incident:{self.reference}"

    @property
    def about(self) -> dict[str, str]:
        """The log finds it by the version or model that it is about; the root itself is in the facts."""
        kind = self.root.partition(":")[0]
        return {kind: self.root} if kind in ("version", "model") else {}

    @property
    def is_over(self) -> bool:
        """True for what was lifted or closed."""
        return self.state in (IncidentState.LIFTED, IncidentState.CLOSED)

    def get_absolute_url(self) -> str:
        return reverse("governance:incident", args=[self.reference])
