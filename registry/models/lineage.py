"""From data to version: training runs and the edges between subjects."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed

SUBJECT_PATTERN = r"^(dataset|run|version):[A-Za-z0-9][A-Za-z0-9._/-]*$"


class EdgeKind(models.TextChoices):
    """What the target owes to the source."""

    DERIVED = "derived", _("was derived into")
    INPUT = "input", _("was read by")
    OUTPUT = "output", _("produced")
    TRAINED = "trained", _("trained")
    TUNED = "tuned", _("was the base of")
    WROTE = "wrote", _("wrote")
    SAME = "same", _("is also called")


#: Kinds that may be part of a circle: a job that updates a table in place reads it and writes it, and two names of one
#: data set lead to each other. Without these the graph has no circle (migrations 0002 and 0006).
MAY_CIRCLE: tuple[str, ...] = ("wrote", "same")


class Run(Governed):
    """One run: a training run of a tracking server, or a job's run that OpenLineage reported."""

    run_id = models.CharField(_("run"), max_length=64)
    tracking_server = models.CharField(_("tracking server"), max_length=400)
    name = models.CharField(_("name"), max_length=250, blank=True)
    contributors = models.JSONField(_("contributors"))
    params = models.JSONField(_("parameters"), default=dict, blank=True)
    metrics = models.JSONField(_("metrics"), default=dict, blank=True)
    started = models.DateTimeField(_("started"), null=True, blank=True)
    ended = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = _("training run")
        verbose_name_plural = _("training runs")
        constraints = [
            models.UniqueConstraint(fields=["run_id"], name="registry_run_run_id"),
            models.CheckConstraint(condition=Q(run_id__regex=r"^[A-Za-z0-9_-]{1,64}$"), name="registry_run_id_pattern"),
        ]

    def __str__(self) -> str:
        return self.run_id

    @property
    def subject(self) -> str:
        return f"run:{self.run_id}"


class LineageEdge(Governed):
    """Data flow from ``source`` to ``target``, both subjects. The database refuses a circle of kinds outside of
    ``MAY_CIRCLE`` (migrations 0002 and 0006).
    """

    source = models.CharField(_("from"), max_length=200)
    target = models.CharField(_("to"), max_length=200, db_index=True)
    kind = models.CharField(_("kind"), max_length=16, choices=EdgeKind.choices)
    created = models.DateTimeField(_("recorded"), auto_now_add=True)

    class Meta:
        ordering = ("source", "target")
        verbose_name = _("lineage edge")
        verbose_name_plural = _("lineage edges")
        #: The other way round than ``registry_edge_once``, so that a closure upstream reads an index alone too.
        indexes = [models.Index(fields=["target", "source"], name="registry_edge_upstream")]
        constraints = [
            models.UniqueConstraint(fields=["source", "target", "kind"], name="registry_edge_once"),
            models.CheckConstraint(condition=~Q(source=F("target")), name="registry_edge_not_to_itself"),
            models.CheckConstraint(condition=Q(kind__in=EdgeKind.values), name="registry_edge_kind"),
            models.CheckConstraint(condition=Q(source__regex=SUBJECT_PATTERN), name="registry_edge_source"),
            models.CheckConstraint(condition=Q(target__regex=SUBJECT_PATTERN), name="registry_edge_target"),
        ]

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"

    @property
    def subject(self) -> str:
        return f"edge:{self.pk}"
