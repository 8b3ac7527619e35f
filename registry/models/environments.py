"""Where models serve: environments with their regions and legal perimeter, and the endpoints in them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from registry.jurisdictions import COUNTRY
from registry.models.versions import NAME_PATTERN, ModelVersion


class Tier(models.TextChoices):
    """What depends on an environment."""

    PROD = "prod", _("Production")
    STAGING = "staging", _("Staging")
    DR = "dr", _("Disaster recovery")


class Perimeter(models.TextChoices):
    """Which data-protection law governs. Never derived from the region: a UAE region is outside ADGM and DIFC."""

    AE_FEDERAL = "AE-federal", _("UAE, federal law")
    AE_ADGM = "AE-ADGM", _("Abu Dhabi Global Market")
    AE_DIFC = "AE-DIFC", _("Dubai International Financial Centre")
    SA = "SA", _("Saudi Arabia")
    QA = "QA", _("Qatar")
    QA_QFC = "QA-QFC", _("Qatar Financial Centre")
    BH = "BH", _("Bahrain")
    EU = "EU", _("European Union")


class Protocol(models.TextChoices):
    """How an endpoint is spoken to."""

    MLFLOW = "mlflow", _("MLflow scoring (POST /invocations)")


class Environment(Governed):
    """A place that serves: a set of ``provider:region`` and the law that governs it."""

    slug = models.CharField(_("slug"), max_length=128, unique=True)
    name = models.CharField(_("name"), max_length=200)
    tier = models.CharField(_("tier"), max_length=16, choices=Tier.choices)
    regions = ArrayField(models.CharField(max_length=64), verbose_name=_("serving regions"))
    perimeter = models.CharField(_("perimeter"), max_length=16, choices=Perimeter.choices)
    log_sinks = ArrayField(models.CharField(max_length=64), verbose_name=_("regions of the inference logs"))
    #: NULL: nobody said, so it may be anywhere. Empty: somebody said that there is none.
    backups = ArrayField(models.CharField(max_length=64), null=True, verbose_name=_("regions of the backups"))
    support_access = ArrayField(
        models.CharField(max_length=16), null=True, verbose_name=_("countries from which people can look at live data")
    )
    explanation_workers = ArrayField(
        models.CharField(max_length=64), null=True, verbose_name=_("regions of the explanation workers")
    )
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ("slug",)
        verbose_name = _("environment")
        verbose_name_plural = _("environments")
        constraints = [
            models.CheckConstraint(condition=Q(slug__regex=NAME_PATTERN), name="registry_environment_slug"),
            models.CheckConstraint(condition=Q(tier__in=Tier.values), name="registry_environment_tier"),
            models.CheckConstraint(condition=Q(perimeter__in=Perimeter.values), name="registry_environment_perimeter"),
            models.CheckConstraint(condition=Q(regions__len__gt=0), name="registry_environment_regions"),
            models.CheckConstraint(condition=Q(log_sinks__len__gt=0), name="registry_environment_log_sinks"),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def subject(self) -> str:
        return f"environment:{self.slug}"

    @property
    def places(self) -> dict[str, list[str] | None]:
        """Every kind of flow of live data with the places where it lies or is looked at (``registry.regions.place``);
        None when nobody said.
        """
        countries = self.support_access
        return {
            "serving": self.regions,
            "inference_log": self.log_sinks,
            "backup": self.backups,
            "support_access": countries if countries is None else [f"{COUNTRY}{code}" for code in countries],
            "explanation_job": self.explanation_workers,
        }

    def get_absolute_url(self) -> str:
        return reverse("registry:environment", args=[self.slug])


class Endpoint(Governed):
    """A served model that answers over HTTP."""

    name = models.CharField(_("name"), max_length=128, unique=True)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="endpoints")
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="endpoints")
    url = models.URLField(_("address"), max_length=400)
    #: Answers what is served there, for the reconciler (``registry.reconciling.identity``); empty when nothing does.
    identity = models.URLField(_("identity address"), max_length=400, blank=True, default="", db_default="")
    protocol = models.CharField(_("protocol"), max_length=16, choices=Protocol.choices)
    #: What the answer means, for example ``{"kind": "probability", "of_class": "1", "description": "..."}``.
    output = models.JSONField(_("output contract"))
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("endpoint")
        verbose_name_plural = _("endpoints")
        constraints = [
            models.CheckConstraint(condition=Q(name__regex=NAME_PATTERN), name="registry_endpoint_name"),
            models.CheckConstraint(condition=Q(url__regex=r"^https?://"), name="registry_endpoint_url"),
            models.CheckConstraint(condition=Q(protocol__in=Protocol.values), name="registry_endpoint_protocol"),
            models.CheckConstraint(
                condition=Q(identity="") | Q(identity__regex=r"^https?://"), name="registry_endpoint_identity"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def subject(self) -> str:
        return f"endpoint:{self.name}"

    @property
    def about(self) -> dict[str, str]:
        return {"version": self.version.subject, "environment": self.environment.subject}
