"""What served where, from when until when, on whose word."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from registry.models.environments import Endpoint, Environment
from registry.models.versions import DIGEST_PATTERN, Model, ModelVersion


class Strategy(models.TextChoices):
    """How traffic reaches the version."""

    ALL_AT_ONCE = "all_at_once", _("All at once")
    BLUE_GREEN = "blue_green", _("Blue-green")
    ROLLING = "rolling", _("Rolling")
    CANARY = "canary", _("Canary")
    SHADOW = "shadow", _("Shadow")
    CHAMPION_CHALLENGER = "champion_challenger", _("Champion-challenger")
    AB = "ab", _("A/B test")
    BANDIT = "bandit", _("Multi-armed bandit")
    BATCH = "batch", _("Batch")
    STREAMING = "streaming", _("Streaming")
    EDGE = "edge", _("Edge")
    SERVERLESS = "serverless", _("Serverless")
    FEDERATED = "federated", _("Federated")


#: These run beside the version that takes the rest; every other strategy replaces what served before.
SHARING_STRATEGIES: tuple[str, ...] = ("canary", "shadow", "champion_challenger", "ab", "bandit")


class DeploymentKind(models.TextChoices):
    """Forward, back, or a drill of going back, which changes nothing that serves."""

    DEPLOY = "deploy", _("Deploy")
    ROLLBACK = "rollback", _("Rollback")
    DRILL = "drill", _("Rollback drill")


class DeploymentQuerySet(models.QuerySet["Deployment"]):
    def open(self) -> DeploymentQuerySet:
        """Those that serve now."""
        return self.filter(until__isnull=True)

    def with_names(self) -> DeploymentQuerySet:
        """One query for everything that a list shows."""
        return self.select_related("environment", "model", "version__model", "endpoint", "undoes")


class Deployment(Governed):
    """A version in an environment. Nothing of a row ever changes but ``until``, once (migration 0002)."""

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="deployments")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="deployments")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="deployments")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="deployments", null=True, blank=True)
    kind = models.CharField(_("kind"), max_length=16, choices=DeploymentKind.choices)
    strategy = models.CharField(_("strategy"), max_length=24, choices=Strategy.choices)
    #: Percent of the traffic that it takes; 0 for a shadow. Who shares takes it from the version that serves the rest.
    weight = models.PositiveSmallIntegerField(_("share in percent"))
    #: The digest at that moment, copied: the record does not depend on a join.
    digest = models.CharField(_("digest"), max_length=71)
    decision_id = models.CharField(_("decision"), max_length=64, blank=True)
    permit_id = models.CharField(_("permit"), max_length=64, blank=True)
    actor_id = models.CharField(_("recorded by"), max_length=128)
    since = models.DateTimeField(_("since"))
    until = models.DateTimeField(_("until"), null=True, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    incident = models.CharField(_("incident"), max_length=200, blank=True)
    undoes = models.ForeignKey("self", on_delete=models.PROTECT, related_name="undone_by", null=True, blank=True)

    objects = DeploymentQuerySet.as_manager()

    class Meta:
        ordering = ("-since", "-id")
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        constraints = [
            models.UniqueConstraint(
                fields=["environment", "model"],
                condition=Q(until__isnull=True) & ~Q(strategy__in=SHARING_STRATEGIES),
                name="registry_deployment_one_open",
            ),
            models.UniqueConstraint(
                fields=["environment", "version"],
                condition=Q(until__isnull=True) & Q(strategy__in=SHARING_STRATEGIES),
                name="registry_deployment_one_open_share",
            ),
            models.CheckConstraint(condition=Q(digest__regex=DIGEST_PATTERN), name="registry_deployment_digest"),
            models.CheckConstraint(condition=Q(strategy__in=Strategy.values), name="registry_deployment_strategy"),
            models.CheckConstraint(condition=Q(kind__in=DeploymentKind.values), name="registry_deployment_kind"),
            models.CheckConstraint(condition=Q(weight__lte=100), name="registry_deployment_weight"),
            models.CheckConstraint(
                condition=Q(until__isnull=True) | Q(until__gte=F("since")), name="registry_deployment_period"
            ),
            models.CheckConstraint(
                condition=~Q(kind="rollback") | (Q(undoes__isnull=False) & ~Q(reason="")),
                name="registry_deployment_rollback",
            ),
            models.CheckConstraint(
                condition=~Q(kind="drill") | Q(until=F("since"), weight=0), name="registry_deployment_drill"
            ),
        ]
        indexes = [
            models.Index(fields=["environment", "model", "-since"], name="registry_deployment_asof"),
            models.Index(fields=["-since", "-id"], name="registry_deployment_newest"),
            models.Index(
                fields=["environment", "-since"], condition=Q(until__isnull=True), name="registry_deployment_open"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} @ {self.environment}"

    @property
    def subject(self) -> str:
        return f"deployment:{self.pk}"

    @property
    def about(self) -> dict[str, str]:
        return {"version": self.version.subject, "environment": self.environment.subject}

    def get_absolute_url(self) -> str:
        return reverse("registry:deployment", args=[self.pk])

    @property
    def shares(self) -> bool:
        """True when it runs beside the version that takes the rest of the traffic."""
        return self.strategy in SHARING_STRATEGIES
