"""An analysis of finished explanations: two versions compared, fairness by group, drift between two samples."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.models.governed import Governed
from explain.models.jobs import ExplanationJob, Standing


class Kind(models.TextChoices):
    """What is measured."""

    COMPARISON = "comparison", _("Two versions compared")
    FAIRNESS = "fairness", _("Fairness by group")
    DRIFT = "drift", _("Drift between two samples")


class AnalysisState(models.TextChoices):
    """Where an analysis stands."""

    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    FINISHED = "finished", _("Finished")
    FAILED = "failed", _("Failed")


ANALYSIS_LIFECYCLE = Lifecycle(
    field="state",
    transitions={
        (AnalysisState.QUEUED, AnalysisState.RUNNING): Event.ANALYSIS_STARTED,
        (AnalysisState.RUNNING, AnalysisState.FINISHED): Event.ANALYSIS_FINISHED,
        (AnalysisState.RUNNING, AnalysisState.FAILED): Event.ANALYSIS_FAILED,
    },
)


class AnalysisQuerySet(models.QuerySet["Analysis"]):
    def with_names(self) -> AnalysisQuerySet:
        """One query for everything that a list shows."""
        return self.select_related("first__version__model", "second__version__model").defer(
            "result", "receipt", "sealed", "first__rows", "first__background", "second__rows", "second__background"
        )

    def unfinished(self) -> AnalysisQuerySet:
        """Those that a worker has to do, or was doing."""
        return self.filter(state__in=[AnalysisState.QUEUED, AnalysisState.RUNNING])


class Analysis(Governed):
    """One question about one or two finished explanations. What was asked never changes after the insert."""

    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    #: The champion of a comparison, the reference of drift, the explanation that fairness is about.
    first = models.ForeignKey(ExplanationJob, on_delete=models.PROTECT, related_name="analyses")
    #: The challenger of a comparison, the current sample of drift.
    second = models.ForeignKey(
        ExplanationJob, on_delete=models.PROTECT, null=True, blank=True, related_name="analyses_as_second"
    )
    #: Of fairness: ``{"threshold", "favourable", "column", "attribute", "labelled", "given"}``; of all: ``{"seed"}``.
    parameters = models.JSONField(_("parameters"))
    #: Group and true outcome of each row, sealed (``explain.given``); gone when the analysis has ended.
    sealed = models.BinaryField(_("sealed groups and outcomes"), null=True, blank=True)
    key_id = models.UUIDField(_("key"), null=True, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=AnalysisState.choices, default=AnalysisState.QUEUED)
    standing = models.CharField(_("standing"), max_length=16, choices=Standing.choices, blank=True)
    error = models.TextField(_("error"), blank=True)
    result = models.JSONField(_("result"), default=dict, blank=True)
    receipt = models.JSONField(_("receipt"), default=dict, blank=True)
    receipt_digest = models.CharField(_("digest of the receipt"), max_length=71, blank=True)
    requested_by = models.CharField(_("requested by"), max_length=128)
    requested = models.DateTimeField(_("requested"), auto_now_add=True)
    started = models.DateTimeField(_("started"), null=True, blank=True)
    ended = models.DateTimeField(_("ended"), null=True, blank=True)

    objects = AnalysisQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        verbose_name = _("analysis")
        verbose_name_plural = _("analyses")
        constraints = [
            models.CheckConstraint(condition=Q(state__in=AnalysisState.values), name="explain_analysis_state"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="explain_analysis_kind"),
            models.CheckConstraint(
                condition=Q(kind="fairness", second__isnull=True) | (~Q(kind="fairness") & Q(second__isnull=False)),
                name="explain_analysis_sides",
            ),
            models.CheckConstraint(
                condition=~Q(state="finished") | (Q(standing__in=Standing.values) & ~Q(receipt_digest="")),
                name="explain_analysis_finished_has_receipt",
            ),
            models.CheckConstraint(
                condition=~Q(state="failed") | ~Q(error=""), name="explain_analysis_failed_has_error"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["queued", "running"]) | Q(sealed__isnull=True),
                name="explain_analysis_ended_keeps_no_groups",
            ),
            models.CheckConstraint(
                condition=Q(ended__isnull=True) | Q(ended__gte=F("requested")), name="explain_analysis_period"
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"], condition=Q(state__in=["queued", "running"]), name="explain_analysis_unfinished"
            ),
        ]

    def __str__(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"analysis:{self.pk}"

    @property
    def about(self) -> dict[str, str]:
        return {"version": (self.second or self.first).version.subject}

    def get_absolute_url(self) -> str:
        return reverse("explain:analysis", args=[self.pk])

    @property
    def open(self) -> bool:
        """Whether a worker still has to do something for it."""
        return self.state in (AnalysisState.QUEUED, AnalysisState.RUNNING)

    @property
    def jobs(self) -> tuple[ExplanationJob, ...]:
        """The explanations it is about."""
        return (self.first,) if self.second is None else (self.first, self.second)
