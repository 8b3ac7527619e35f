"""What the reconciler found: differences that people own and close, and when it looked."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from registry.reconciling.comparison import Kind


class FindingKind(models.TextChoices):
    """What differs. The words are those of the pure comparison."""

    RUNNING_UNAPPROVED = Kind.RUNNING_UNAPPROVED.value, _("Running, never approved")
    ANSWERS_OTHERWISE = Kind.ANSWERS_OTHERWISE.value, _("Answers otherwise than recorded")
    ALIAS_MOVED = Kind.ALIAS_MOVED.value, _("Alias moved by hand")
    DELETED_THERE = Kind.DELETED_THERE.value, _("Deleted in MLflow")
    SOURCE_CHANGED = Kind.SOURCE_CHANGED.value, _("Another artifact in MLflow")
    NEVER_DEPLOYED = Kind.NEVER_DEPLOYED.value, _("Approved, never deployed")
    MISSED_WEBHOOK = Kind.MISSED_WEBHOOK.value, _("Webhook did not come")
    ENDPOINT_UNREACHABLE = Kind.ENDPOINT_UNREACHABLE.value, _("Endpoint could not be asked")
    SOURCE_UNREADABLE = Kind.SOURCE_UNREADABLE.value, _("MLflow could not be read")
    NO_LONGER_LAWFUL = Kind.NO_LONGER_LAWFUL.value, _("Serves and is no longer lawful")
    MUST_BE_REPLACED = Kind.MUST_BE_REPLACED.value, _("Serves by an emergency that nobody ratified")


class FindingState(models.TextChoices):
    """Whether somebody has it. A closed one is accepted with a reason, or gone."""

    OPEN = "open", _("Open")
    TAKEN = "taken", _("Taken")
    CLOSED = "closed", _("Closed")


class FindingQuerySet(models.QuerySet["Finding"]):
    def waiting(self) -> FindingQuerySet:
        """Those that nobody has closed."""
        return self.filter(state__in=(FindingState.OPEN, FindingState.TAKEN))

    def standing(self) -> FindingQuerySet:
        """Those that the last look which could see them still saw; closed ones among them are accepted."""
        return self.filter(gone__isnull=True)

    def unlawful(self) -> FindingQuerySet:
        """Those that say of a deployment that the rules forbid it by now; accepted ones forbid it too."""
        return self.standing().filter(kind=FindingKind.NO_LONGER_LAWFUL)


class Finding(Governed):
    """One difference, from when it was first seen until it was gone. It refers to nothing but by name, so that it
    outlives what it is about. When the same difference comes back after it was gone, it is another finding.
    """

    key = models.CharField(_("key"), max_length=64)
    kind = models.CharField(_("kind"), max_length=24, choices=FindingKind.choices)
    concerns = models.CharField(_("concerns"), max_length=200)
    version = models.CharField(_("version"), max_length=200, blank=True)
    environment = models.CharField(_("environment"), max_length=128, blank=True)
    #: What has to be looked at before its absence means that it is gone.
    scope = models.CharField(_("scope"), max_length=200)
    recorded = models.JSONField(_("on record"), default=dict)
    observed = models.JSONField(_("seen"), default=dict)
    first_seen = models.DateTimeField(_("first seen"))
    state = models.CharField(_("state"), max_length=8, choices=FindingState.choices, default=FindingState.OPEN)
    owner = models.CharField(_("owner"), max_length=80, blank=True)
    closed_by = models.CharField(_("closed by"), max_length=80, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    gone = models.DateTimeField(_("gone"), null=True, blank=True)

    objects = FindingQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name = _("finding")
        verbose_name_plural = _("findings")
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=Q(gone__isnull=True), name="registry_finding_one_standing"
            ),
            models.CheckConstraint(condition=Q(kind__in=FindingKind.values), name="registry_finding_kind"),
            models.CheckConstraint(condition=Q(state__in=FindingState.values), name="registry_finding_state"),
            models.CheckConstraint(
                condition=~Q(state="closed") | (~Q(closed_by="") & Q(closed_at__isnull=False)),
                name="registry_finding_closed_by_someone",
            ),
            models.CheckConstraint(
                condition=~Q(state="closed") | ~Q(reason="") | Q(gone__isnull=False),
                name="registry_finding_closed_with_reason",
            ),
            models.CheckConstraint(
                condition=Q(gone__isnull=True) | Q(state="closed"), name="registry_finding_gone_is_closed"
            ),
            models.CheckConstraint(condition=~Q(state="taken") | ~Q(owner=""), name="registry_finding_owner"),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="registry_finding_by_state"),
            models.Index(fields=["key"], name="registry_finding_by_key"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"finding:{self.pk}"

    @property
    def about(self) -> dict[str, str]:
        told = {"version": self.version}
        told["environment"] = f"environment:{self.environment}" if self.environment else ""
        return {name: value for name, value in told.items() if value}

    @property
    def accepted(self) -> bool:
        """Closed by a person though the difference still stands."""
        return self.state == FindingState.CLOSED and self.gone is None

    def get_absolute_url(self) -> str:
        return reverse("registry:finding", args=[self.pk])


class FindingSeen(models.Model):
    """When a difference was last seen. Not governed: it decides nothing, and every look writes it."""

    finding = models.OneToOneField(Finding, on_delete=models.CASCADE, primary_key=True, related_name="seen")
    at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "registry_finding_seen"

    def __str__(self) -> str:
        return f"{self.finding_id} {self.at:%Y-%m-%d %H:%M}"


class ReconcilerRun(models.Model):
    """One look: what was looked at and what could not be. Not governed: all that it found has entries of its own."""

    began = models.DateTimeField(_("began"))
    ended = models.DateTimeField(_("ended"))
    asked_by = models.CharField(_("asked by"), max_length=128)
    complete = models.BooleanField(_("looked at everything"))
    differences = models.PositiveIntegerField(_("differences"))
    opened = models.PositiveIntegerField(_("new findings"))
    gone = models.PositiveIntegerField(_("gone"))
    #: Every place as ``registry.reconciling.comparison.Place`` has it.
    places = models.JSONField(_("places"), default=list)
    #: Addresses of tracking servers that versions name and that are not the one which is set up.
    unread_servers = models.JSONField(_("servers not read"), default=list)
    source = models.CharField(_("tracking server"), max_length=400, blank=True)

    class Meta:
        db_table = "registry_reconciler_run"
        ordering = ("-id",)
        verbose_name = _("look of the reconciler")
        verbose_name_plural = _("looks of the reconciler")

    def __str__(self) -> str:
        return f"{self.began:%Y-%m-%d %H:%M}"
