"""Models, their immutable versions, and the aliases that point at versions."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed

#: ``sha256:`` and 64 lower-case hexadecimal digits; the database refuses any other text.
DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
#: Names that go into addresses and subjects: no slash, no colon, no space.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


class Risk(models.TextChoices):
    """How much harm a wrong answer can do; policies ask for more people when it is high.

    ``unknown`` until a person says it; policies read it as high.
    """

    HIGH = "high", _("High")
    LIMITED = "limited", _("Limited")
    MINIMAL = "minimal", _("Minimal")
    UNKNOWN = "unknown", _("Unknown")


class Model(Governed):
    """A line of versions with one purpose and one owner."""

    name = models.CharField(_("name"), max_length=128, unique=True)
    title = models.CharField(_("title"), max_length=200)
    owner = models.CharField(_("owner"), max_length=200, help_text=_("Team or username that answers for it."))
    purpose = models.TextField(_("purpose"))
    risk = models.CharField(_("risk"), max_length=16, choices=Risk.choices)
    risk_reason = models.TextField(_("reason for the risk"))
    #: For what and for whom it was made, and where its answers may not be relied on. Empty means that nobody said.
    intended_use = models.TextField(_("intended use"), blank=True, default="")
    limits = models.TextField(_("limits"), blank=True, default="")
    #: Whom to ask, one line each; may name people.
    contacts = ArrayField(models.CharField(max_length=200), verbose_name=_("contacts"), blank=True, default=list)
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("model")
        verbose_name_plural = _("models")
        constraints = [
            models.CheckConstraint(condition=Q(name__regex=NAME_PATTERN), name="registry_model_name"),
            models.CheckConstraint(condition=Q(risk__in=Risk.values), name="registry_model_risk"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def subject(self) -> str:
        return f"model:{self.name}"

    def get_absolute_url(self) -> str:
        return reverse("registry:model", args=[self.name])


class ModelVersion(Governed):
    """One artifact, for ever: the database refuses every UPDATE of a row (migration 0002)."""

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField(_("number"))
    digest = models.CharField(_("digest"), max_length=71)
    run_id = models.CharField(_("MLflow run"), max_length=64, blank=True)
    tracking_server = models.CharField(_("tracking server"), max_length=400, blank=True)
    #: Usernames of everyone who trained it; none of them may sign it off. Never empty: unknown is not independent.
    trained_by = models.JSONField(_("trained by"))
    #: Metric name -> decimal string, for example ``{"auc": "0.871"}``.
    metrics = models.JSONField(_("metrics"), default=dict, blank=True)
    #: ``{"inputs": [{"name": ..., "type": ...}], "outputs": [...]}`` as MLflow's signature names them.
    schema = models.JSONField(_("schema"), default=dict, blank=True)
    source_uri = models.CharField(_("source"), max_length=1000, blank=True)
    #: ``[{"name": …, "version": …, "hashes": ["sha256:…"]}]`` of what it needs to run; null while nobody has said.
    dependencies = models.JSONField(_("dependencies"), null=True, blank=True)
    created = models.DateTimeField(_("registered"), auto_now_add=True)

    class Meta:
        ordering = ("model__name", "-number")
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        constraints = [
            models.UniqueConstraint(fields=["model", "number"], name="registry_version_number"),
            models.CheckConstraint(condition=Q(digest__regex=DIGEST_PATTERN), name="registry_version_digest"),
            models.CheckConstraint(condition=Q(number__gte=1), name="registry_version_number_positive"),
            models.CheckConstraint(condition=~Q(trained_by=[]), name="registry_version_trained_by"),
        ]
        indexes = [models.Index(fields=["digest"], name="registry_version_by_digest")]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """``credit-scoring/14``. Reads the model: select it with the version."""
        return f"{self.model.name}/{self.number}"

    @property
    def subject(self) -> str:
        return f"version:{self.label}"

    @property
    def contributors(self) -> tuple[str, ...]:
        """Usernames of those who trained it, in the recorded order."""
        return tuple(self.trained_by)

    def get_absolute_url(self) -> str:
        return reverse("registry:version", args=[self.model.name, self.number])


class Alias(Governed):
    """A movable name for one version of a model, for example ``champion``."""

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="aliases")
    name = models.CharField(_("name"), max_length=128)
    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="aliases")
    moved = models.DateTimeField(_("moved"), auto_now=True)
    #: It was moved outside the ledger, which has it at ``ledger`` (a subject; empty: nowhere) for as long.
    outside = models.BooleanField(_("moved outside the ledger"), default=False, db_default=False)
    ledger = models.CharField(_("in the ledger"), max_length=200, blank=True, default="", db_default="")

    class Meta:
        ordering = ("name",)
        verbose_name = _("alias")
        verbose_name_plural = _("aliases")
        constraints = [
            models.UniqueConstraint(fields=["model", "name"], name="registry_alias_name"),
            models.CheckConstraint(condition=Q(name__regex=NAME_PATTERN), name="registry_alias_name_pattern"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def subject(self) -> str:
        return f"alias:{self.model.name}/{self.name}"
