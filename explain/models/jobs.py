"""An explanation job: what was asked of which served model, and what came of it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Value
from django.urls import reverse
from django.utils import timezone
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
    PAUSED = "paused", _("Paused")
    #: The endpoint does not answer: asked again at ``retry_at``.
    WAITING = "waiting", _("Waiting for the endpoint")
    FINISHED = "finished", _("Finished")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")
    #: Another model answered in the middle of the job: nothing of it is kept.
    VERSION_CHANGED = "version_changed", _("Version changed")


#: States in which something is still to be done, by a worker or by a person.
OPEN = (State.QUEUED, State.RUNNING, State.PAUSED, State.WAITING)


class Algorithm(models.TextChoices):
    """Which estimator computes the values of a method; ``auto`` lets the rules of ``explain.choosing`` decide."""

    AUTO = "auto", _("Chosen by the rules")
    PAIR_PERM = "pair_perm", _("Pair permutations with an adaptive stop")
    EXACT = "exact", _("Exact over all coalitions (shap)")
    PERMUTATION = "permutation", _("Permutation reference (shap)")
    KERNEL = "kernel", _("Kernel cross-check (shap, without feature selection)")
    TREE = "tree", _("Exact for trees, in process (shap)")
    LINEAR = "linear", _("Exact for linear models, in process")
    LIME = "lime", _("Local linear model (lime)")


class Level(models.TextChoices):
    """How precise SHAP values have to be: tolerance, rounds and background by section 6 of the design."""

    QUICK = "quick", _("Quick look (10 %)")
    STANDARD = "standard", _("Standard (5 %)")
    AUDIT = "audit", _("Audit (2 %)")


class Scale(models.TextChoices):
    """On which scale the model's output is explained; another scale is another question with other answers."""

    PROBABILITY = "probability", _("probability")
    LOG_ODDS = "log_odds", _("log-odds of the probability")
    RAW = "raw", _("the output as it is")


class Standing(models.TextChoices):
    """What a finished job is good for."""

    EVIDENCE = "evidence", _("Evidence")
    DRAFT = "draft", _("Draft")


LIFECYCLE = Lifecycle(
    field="state",
    transitions={
        (State.QUEUED, State.RUNNING): Event.EXPLANATION_STARTED,
        (State.RUNNING, State.RUNNING): Event.EXPLANATION_RESUMED,
        (State.RUNNING, State.PAUSED): Event.EXPLANATION_PAUSED,
        (State.QUEUED, State.PAUSED): Event.EXPLANATION_PAUSED,
        (State.WAITING, State.PAUSED): Event.EXPLANATION_PAUSED,
        (State.PAUSED, State.QUEUED): Event.EXPLANATION_CONTINUED,
        (State.RUNNING, State.WAITING): Event.EXPLANATION_WAITING,
        (State.WAITING, State.RUNNING): Event.EXPLANATION_RESUMED,
        (State.WAITING, State.WAITING): Event.EXPLANATION_WAITING,
        (State.RUNNING, State.FINISHED): Event.EXPLANATION_FINISHED,
        (State.RUNNING, State.VERSION_CHANGED): Event.EXPLANATION_VERSION_CHANGED,
        **{(state, State.FAILED): Event.EXPLANATION_FAILED for state in OPEN},
        **{(state, State.CANCELLED): Event.EXPLANATION_CANCELLED for state in OPEN},
    },
)


class ExplanationJobQuerySet(models.QuerySet["ExplanationJob"]):
    def with_names(self) -> ExplanationJobQuerySet:
        """One query for everything that a list shows; the rows and the background stay in the database."""
        return self.select_related("version__model", "endpoint__environment").defer("plan", "rows", "background")

    def unfinished(self) -> ExplanationJobQuerySet:
        """Those that a worker has to do now, or was doing: not what a person paused, nor what waits for its time."""
        due = Q(state=State.WAITING, retry_at__lte=timezone.now())
        return self.filter(Q(state__in=[State.QUEUED, State.RUNNING]) | due)


class ExplanationJob(Governed):
    """One request to explain rows of one version at one endpoint. What was asked never changes after the insert."""

    version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="explanations")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="explanations")
    #: The version's digest when it was asked: evidence is about these bytes.
    digest = models.CharField(_("digest"), max_length=71)
    method = models.CharField(_("method"), max_length=8, choices=Method.choices)
    #: ``[{"name": ..., "kind": "number" | "integer" | "boolean" | "string"}]`` in the order of every row.
    columns = models.JSONField(_("columns"))
    #: How many rows were asked about, and how many background rows there are. The rows themselves are personal data:
    #: ``explain.inputs`` keeps them sealed.
    rows_count = models.PositiveIntegerField(_("number of rows"), default=0, db_default=0)
    background_count = models.PositiveIntegerField(_("number of background rows"), default=0, db_default=0)
    #: Questions from before rows were sealed have them here: ``[{"id": ..., "cells": [...]}]`` and ``[[...], ...]``.
    rows = models.JSONField(_("rows"), default=list, db_default=Value([], models.JSONField()), blank=True)
    background = models.JSONField(_("background"), default=list, db_default=Value([], models.JSONField()), blank=True)
    #: ``{"name": ..., "index": int | null, "scale": Scale}``
    output = models.JSONField(_("explained output"))
    tol = models.DecimalField(_("tolerance"), max_digits=5, decimal_places=4)
    seed = models.BigIntegerField(_("seed"))
    #: Model rows that may be scored at most.
    budget = models.PositiveIntegerField(_("budget"))
    #: ``{"algorithm": Algorithm, "level": Level, "rounds": [least, most], "groups": {...}, "sample": int | null,
    #: "estimate": {...}}``: the rest of the question, in the digest of its configuration.
    settings = models.JSONField(_("settings"), default=dict, db_default=Value({}, models.JSONField()))
    digests = models.JSONField(_("digests of what was asked"))
    #: The job whose question this one repeats.
    repeats = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="repeated_by")
    #: Written once by the worker that prepared the job: ``{"probe": {...}, "algorithm": ..., "because": ...,
    #: "selected": [positions] | null, "chunk": rows}``; empty before.
    plan = models.JSONField(_("plan"), default=dict, db_default=Value({}, models.JSONField()), blank=True)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.QUEUED)
    standing = models.CharField(_("standing"), max_length=16, choices=Standing.choices, blank=True)
    error = models.TextField(_("error"), blank=True)
    #: When a job that waits for its endpoint asks again.
    retry_at = models.DateTimeField(_("asked again at"), null=True, blank=True)
    #: Since when the endpoint has given no usable answer, and how many rows were finished then: more of them by now
    #: say that it has answered.
    silent_since = models.DateTimeField(_("no answer since"), null=True, blank=True)
    silent_rows = models.PositiveIntegerField(_("rows finished then"), null=True, blank=True)
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
            models.Index(
                fields=["id"], condition=Q(state__in=["queued", "running", "waiting"]), name="explain_job_unfinished"
            ),
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
        return self.state in OPEN

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [str(column["name"]) for column in self.columns]

    @property
    def asked_rows(self) -> int:
        """How many rows were asked about."""
        return self.rows_count or len(self.rows)

    @property
    def total(self) -> int:
        """How many rows get a result: those asked about, or the sample of them that was chosen."""
        selected = self.plan.get("selected")
        return self.asked_rows if selected is None else len(selected)

    @property
    def asked_background(self) -> int:
        """How many background rows there are."""
        return self.background_count or len(self.background)

    @property
    def algorithm(self) -> str:
        """The estimator that computed, or the one that was asked for while nobody has chosen yet."""
        return str(self.plan.get("algorithm") or self.settings.get("algorithm") or Algorithm.AUTO)


class ExplanationInput(models.Model):
    """A row that is explained, or one that it is compared with: sealed, because it is about a person.

    ``body``: AES-256-GCM (``audit.subject_keys``) of ``{"cells": [...], "salt": "<hex>"}``; destroyed with the key of
    its subject. ``commitment``: SHA-256 over salt and cells; the log holds the digest of all of them, so that a changed
    row no longer fits and an erased one still does.
    """

    job = models.ForeignKey(ExplanationJob, on_delete=models.CASCADE, related_name="inputs")
    background = models.BooleanField(_("background"), default=False)
    position = models.PositiveIntegerField(_("position"))
    row_id = models.CharField(_("row"), max_length=64, blank=True)
    #: Whose key seals it: a keyed hash of the data subject, or of this job alone.
    subject = models.CharField(_("subject"), max_length=96)
    key_id = models.UUIDField(_("key"))
    body = models.BinaryField(_("sealed row"), null=True)
    commitment = models.CharField(_("commitment"), max_length=71)

    class Meta:
        ordering = ("background", "position")
        verbose_name = _("row of a question")
        verbose_name_plural = _("rows of questions")
        constraints = [
            models.UniqueConstraint(fields=["job", "background", "position"], name="explain_input_once"),
        ]
        indexes = [models.Index(fields=["subject"], name="explain_input_of_subject")]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.position}"


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
    #: SHA-256 of the result: what stays of it when its data subject is erased.
    digest = models.CharField(_("digest"), max_length=71, blank=True, db_default="")
    erased = models.BooleanField(_("erased"), default=False, db_default=False)

    class Meta:
        ordering = ("position",)
        verbose_name = _("explained row")
        verbose_name_plural = _("explained rows")
        constraints = [models.UniqueConstraint(fields=["job", "row_id"], name="explain_row_once")]
        #: An id may be that of a prediction, which is looked up over all jobs.
        indexes = [models.Index(fields=["row_id"], name="explain_row_of_prediction")]

    def __str__(self) -> str:
        return f"{self.job_id}/{self.row_id}"
