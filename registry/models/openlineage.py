"""What producers of OpenLineage sent, byte for byte, and what became of it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class OpenLineageEvent(models.Model):
    """One event as it came. Never changed and never deleted (migration 0006). Not governed: it decides nothing.

    What it changes has entries, which name its ``digest``.
    """

    #: ``sha256:`` of ``body``, which is the exact text of the event: after gzip, and cut out of its array in a batch.
    digest = models.CharField(max_length=71, unique=True)
    body = models.BinaryField()
    #: ``run``, ``job`` or ``dataset``.
    kind = models.CharField(max_length=8)
    run_id = models.CharField(max_length=36, blank=True, db_index=True)
    #: ``START``, ``RUNNING``, ``COMPLETE``, ``ABORT``, ``FAIL``, ``OTHER``; empty for events that are not of a run.
    event_type = models.CharField(max_length=8, blank=True)
    event_time = models.DateTimeField()
    producer = models.TextField()
    #: Whose token brought it: ``service:<uuid>`` or ``user:<uuid>``.
    actor_id = models.CharField(max_length=128)
    received = models.DateTimeField()

    class Meta:
        db_table = "registry_openlineage_event"
        ordering = ("-id",)

    def __str__(self) -> str:
        return self.digest


class OutcomeState(models.TextChoices):
    """What became of an event."""

    WAITING = "waiting", _("waiting")
    APPLIED = "applied", _("read into the lineage")
    FAILED = "failed", _("could not be read into the lineage")


class OpenLineageOutcome(models.Model):
    """What became of an event: ``problems`` are sentences about what it said that could not be taken over."""

    event = models.OneToOneField(OpenLineageEvent, on_delete=models.PROTECT, primary_key=True, related_name="outcome")
    state = models.CharField(max_length=8, choices=OutcomeState.choices, default=OutcomeState.WAITING)
    problems = models.JSONField(default=list)

    class Meta:
        db_table = "registry_openlineage_outcome"
        indexes = [
            models.Index(fields=["event"], condition=models.Q(state="waiting"), name="registry_openlineage_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} {self.state}"


class OpenLineageName(models.Model):
    """What producers call a data set. Its name here is computed from these (``registry.sources.openlineage_names``)."""

    #: SHA-256 of namespace, name and version: they may be of any length.
    key = models.CharField(max_length=64, unique=True)
    namespace = models.TextField()
    name = models.TextField()
    version = models.TextField(blank=True)
    dataset_name = models.CharField(max_length=128, unique=True)
    #: The event that named it first, and who sent it.
    digest = models.CharField(max_length=71)
    producer = models.TextField()

    class Meta:
        db_table = "registry_openlineage_name"
        ordering = ("dataset_name",)

    def __str__(self) -> str:
        return f"{self.namespace} {self.name}"
