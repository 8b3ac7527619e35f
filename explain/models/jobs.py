"""An explanation job: what was asked of which served model, and what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.models.governed import Governed
from registry.models import Endpoint, ModelVersion


class Method(models.TextChoices):
    """How predictions are explained."""

    SHAP = "shap", _("SHAP (interventional)")
    LIME = "lime", _("LIME")


class State(models.TextChoices):
    """Where a job stands."""

    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    FINISHED = "finished", _("Finished")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


class Standing(models.TextChoices):
    """What a finished job is good for."""

    EVIDENCE = "evidence", _("Evidence")
    DRAFT = "draft", _("Draft")


LIFECYCLE = Lifecycle(
    field="state",
    transitions={
        (State.QUEUED, State.RUNNING): Event.EXPLANATION_STARTED,
        (State.RUNNING, State.RUNNING): Event.EXPLANATION_RESUMED,
        (State.RUNNING, State.FINISHED): Event.EXPLANATION_FINISHED,
        (State.QUEUED, State.FAILED): Event.EXPLANATION_FAILED,
        (State.RUNNING, State.FAILED): Event.EXPLANATION_FAILED,
        (State.QUEUED, State.CANCELLED): Event.EXPLANATION_CANCELLED,
        (State.RUNNING, State.CANCELLED): Event.EXPLANATION_CANCELLED,
    },
)


class ExplanationJobQuerySet(models.QuerySet["ExplanationJob"]):
    def with_names(self) -> ExplanationJobQuerySet:
        """One query for everything that a list shows; the rows and the background stay in the database."""
        return self.select_related("version__model", "endpoint__environment").defer("rows", "background")

    def unfinished(self) -> ExplanationJobQuerySet:
        """Those that a worker has to do, or was doing."""
        return self.filter(state__in=[State.QUEUED, State.RUNNING])


class ExplanationJob(Governed):
    """One request to explain rows of one version at one endpoint. What was asked never changes after the insert."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="explanations")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="explanations")
    #: The version's digest when it was asked: evidence is about these bytes.
    digest = models.CharField(_("digest"), max_length=71)
    method = models.CharField(_("method"), max_length=8, choices=Method.choices)
    #: ``[{"name": ..., "kind": "number" | "integer" | "boolean" | "string"}]`` in the order of every row.
    columns = models.JSONField(_("columns"))
    #: ``[{"id": ..., "cells": [...]}]``; the id is stable: it seeds the row.
    rows = models.JSONField(_("rows"))
    #: ``[[...], ...]``
    background = models.JSONField(_("background"))
    #: ``{"name": ..., "index": int | null, "scale": "probability" | "score" | "value"}``
    output = models.JSONField(_("explained output"))
    tol = models.DecimalField(_("tolerance"), max_digits=5, decimal_places=4)
    seed = models.BigIntegerField(_("seed"))
    #: Model rows that may be scored at most.
    budget = models.PositiveIntegerField(_("budget"))
    digests = models.JSONField(_("digests of what was asked"))
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.QUEUED)
    standing = models.CharField(_("standing"), max_length=16, choices=Standing.choices, blank=True)
    error = models.TextField(_("error"), blank=True)
    receipt = models.JSONField(_("receipt"), default=dict, blank=True)
    receipt_digest = models.CharField(_("digest of the receipt"), max_length=71, blank=True)
    requested_by = models.CharField(_("requested by"), max_length=128)
    requested = models.DateTimeField(_("requested"), auto_now_add=True)
    started = models.DateTimeField(_("started"), null=True, blank=True)
    ended = models.DateTimeField(_("ended"), null=True, blank=True)

    objects = ExplanationJobQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name = _("explanation")
        verbose_name_plural = _("explanations")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="explain_job_state"),
            models.CheckConstraint(condition=Q(method__in=Method.values), name="explain_job_method"),
            models.CheckConstraint(condition=Q(tol__gt=0, tol__lt=1), name="explain_job_tol"),
            models.CheckConstraint(condition=Q(seed__gte=0), name="explain_job_seed"),
            models.CheckConstraint(
                condition=~Q(state="finished") | (Q(standing__in=Standing.values) & ~Q(receipt_digest="")),
                name="explain_job_finished_has_receipt",
            ),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(error=""), name="explain_job_failed_has_error"),
            models.CheckConstraint(
                condition=Q(ended__isnull=True) | Q(ended__gte=F("requested")), name="explain_job_period"
            ),
        ]
        indexes = [
            models.Index(fields=["version", "-id"], name="explain_job_of_version"),
            models.Index(fields=["id"], condition=Q(state__in=["queued", "running"]), name="explain_job_unfinished"),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"explanation:{self.pk}"

    @property
    def about(self) -> dict[str, str]:
        return {"version": self.version.subject, "environment": self.endpoint.environment.subject}

    def get_absolute_url(self) -> str:
        return reverse("explain:explanation", args=[self.pk])

    @property
    def open(self) -> bool:
        """Whether a worker still has to do something for it."""
        return self.state in (State.QUEUED, State.RUNNING)

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [str(column["name"]) for column in self.columns]

    def cells_of(self, row_id: str) -> list[Any]:
        """The cells of a requested row; empty when it has none of that id."""
        return next((list(row["cells"]) for row in self.rows if row["id"] == row_id), [])


class ExplanationRow(models.Model):
    """One explained row of a job.

    Not governed row by row: a checkpoint of hundreds of rows would need hundreds of entries. Instead the entry that
    finishes the job holds the digest of the receipt, and the receipt the digest of all results, so that a changed,
    missing or added row no longer fits the log (``explain.receipts.problems``).
    """

    job = models.ForeignKey(ExplanationJob, on_delete=models.CASCADE, related_name="results")
    row_id = models.CharField(_("row"), max_length=64)
    position = models.PositiveIntegerField(_("position"))
    phi = ArrayField(models.FloatField(), verbose_name=_("contributions"))
    se = ArrayField(models.FloatField(), verbose_name=_("standard errors"))
    base = models.FloatField(_("base value"), null=True)
    fx = models.FloatField(_("prediction"), null=True)
    residual = models.FloatField(_("additivity residual"), null=True)
    evals = models.PositiveIntegerField(_("model rows scored"))
    rounds = models.PositiveIntegerField(_("rounds"))
    converged = models.BooleanField(_("converged"))
    certain = models.PositiveIntegerField(_("certain ranks"))
    problem = models.TextField(_("problem"), blank=True)
    diagnostics = models.JSONField(_("diagnostics"), default=dict, blank=True)

    class Meta:
        ordering = ("position",)
        verbose_name = _("explained row")
        verbose_name_plural = _("explained rows")
        constraints = [models.UniqueConstraint(fields=["job", "row_id"], name="explain_row_once")]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.row_id}"
