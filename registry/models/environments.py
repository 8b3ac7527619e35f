"""Where models serve: environments with their regions and legal perimeter, and the endpoints in them."""

from __future__ import annotations

import json

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
    V2 = "v2", _("Open Inference Protocol V2 (KServe, Triton, MLServer, Seldon)")
    V1 = "v1", _("KServe V1, TensorFlow Serving (:predict)")
    SELDON_V1 = "seldon_v1", _("Seldon V1")
    BENTOML = "bentoml", _("BentoML")
    RAY = "ray", _("Ray Serve")
    SAGEMAKER = "sagemaker", _("SageMaker container (POST /invocations)")
    VERTEX = "vertex", _("Vertex AI")
    AZUREML = "azureml", _("Azure ML (POST /score)")
    HTTP_JSON = "http_json", _("Other HTTP, described by a mapping")


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


class EndpointPace(models.Model):
    """When the next rows may go to an endpoint that has a cap on rows per second. Counts nothing that anyone decides.

    Workers write it in a transaction of its own before each request, so that it is no governed table.
    """

    #: The endpoint's id, without a foreign key: a worker's write must not wait for whoever changes the endpoint.
    endpoint_id = models.BigIntegerField(primary_key=True)
    free_at = models.DateTimeField(_("free at"))

    class Meta:
        db_table = "registry_endpoint_pace"
        verbose_name = _("pace of an endpoint")
        verbose_name_plural = _("paces of endpoints")

    def __str__(self) -> str:
        return f"{self.endpoint_id} {self.free_at}"


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
    #: What its protocol needs to know (``registry.serving.options``). Never a secret: it is shown and logged.
    options = models.JSONField(_("options"), default=dict, db_default=models.Value({}, models.JSONField()), blank=True)
    #: Requests in flight at once, over all workers.
    concurrency = models.PositiveSmallIntegerField(_("requests at once"), default=2, db_default=2)
    #: Rows per second over all workers; NULL: as many as it answers.
    rows_per_second = models.PositiveIntegerField(_("rows per second"), null=True, blank=True)
    timeout = models.PositiveSmallIntegerField(_("seconds for one answer"), default=30, db_default=30)
    #: The name of what lets this server in (``registry.serving.credentials``); its value is not in the database.
    credential = models.CharField(_("credential"), max_length=64, blank=True, default="", db_default="")
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
            models.CheckConstraint(
                condition=Q(concurrency__gte=1, concurrency__lte=16), name="registry_endpoint_concurrency"
            ),
            models.CheckConstraint(
                condition=Q(rows_per_second__isnull=True) | Q(rows_per_second__gte=1), name="registry_endpoint_rows"
            ),
            models.CheckConstraint(condition=Q(timeout__gte=1, timeout__lte=600), name="registry_endpoint_timeout"),
            models.CheckConstraint(
                condition=Q(credential="") | Q(credential__regex=r"^[A-Z][A-Z0-9_]*$"),
                name="registry_endpoint_credential",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def subject(self) -> str:
        return f"endpoint:{self.name}"

    @property
    def described_options(self) -> list[tuple[str, str]]:
        """Each option as JSON, for people."""
        return [(key, json.dumps(value, ensure_ascii=False)) for key, value in sorted(self.options.items())]

    @property
    def about(self) -> dict[str, str]:
        return {"version": self.version.subject, "environment": self.environment.subject}
