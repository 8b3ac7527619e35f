"""What MLflow is to be told of changes that were recorded here."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from registry.models.versions import ModelVersion


class MirrorKind(models.TextChoices):
    """What is written there."""

    TAG = "tag", _("Tag")
    ALIAS = "alias", _("Alias")


class MirrorState(models.TextChoices):
    """Only what waits is sent. ``held``: somebody moved the alias in MLflow meanwhile, and is not written over."""

    WAITING = "waiting", _("Waiting")
    FINISHED = "finished", _("Finished")
    REFUSED = "refused", _("Refused")
    HELD = "held", _("Held")
    SUPERSEDED = "superseded", _("Superseded")


class MLflowWrite(models.Model):
    """One thing that a tracking server is told. Not governed: the change that it tells of has its entry, and so has
    that the server was told, or that it never will be."""

    #: The server's name in the settings.
    server = models.CharField(max_length=64)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="mlflow_writes")
    kind = models.CharField(max_length=8, choices=MirrorKind.choices)
    #: The alias, or the key of the tag.
    name = models.CharField(max_length=128)
    #: The number of the version, or what the tag says.
    value = models.CharField(max_length=200)
    #: Where MLflow may have the alias while it has not been told: numbers of versions, ``""`` for nowhere.
    before = ArrayField(models.CharField(max_length=20, blank=True), default=list)
    state = models.CharField(max_length=12, choices=MirrorState.choices, default=MirrorState.WAITING)
    created = models.DateTimeField(auto_now_add=True)
    attempts = models.PositiveIntegerField(default=0)
    tried = models.DateTimeField(null=True)
    #: It is not tried again before.
    due = models.DateTimeField()
    last_error = models.TextField(blank=True)
    done = models.DateTimeField(null=True)

    class Meta:
        db_table = "registry_mlflow_write"
        ordering = ("id",)
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=MirrorKind.values), name="registry_mlflow_write_kind"),
            models.CheckConstraint(condition=Q(state__in=MirrorState.values), name="registry_mlflow_write_state"),
            models.CheckConstraint(
                condition=Q(state=MirrorState.WAITING, done__isnull=True)
                | (~Q(state=MirrorState.WAITING) & Q(done__isnull=False)),
                name="registry_mlflow_write_done",
            ),
        ]
        indexes = [
            models.Index(
                fields=["server", "id"], condition=Q(state=MirrorState.WAITING), name="registry_mlflow_write_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.server} {self.kind} {self.name}"
