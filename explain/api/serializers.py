"""What the explanation API reads and answers."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from explain import queries, requests
from explain.models import Algorithm, ExplanationJob, ExplanationRow, Level, Method, Scale, Standing, State
from explain.staleness import standing_now

#: Seconds that somebody may wait for the explanation of one row.
LONGEST_WAIT = 10


class DrawSerializer(serializers.Serializer[Any]):
    """Rows that are drawn from a registered data set, where its file can be read from here."""

    dataset = serializers.CharField(max_length=128, help_text="Its name in the registry.")
    rows = serializers.IntegerField(min_value=0, max_value=requests.MOST_SAMPLED, default=0)
    background = serializers.IntegerField(min_value=0, max_value=requests.MOST_BACKGROUND, default=0)
    seed = serializers.IntegerField(min_value=0, max_value=2**63 - 1, default=0)
    subject_column = serializers.CharField(
        max_length=128, default="", allow_blank=True, help_text="Names the person of each row; the model never sees it."
    )


class RequestSerializer(serializers.Serializer[Any]):
    """The question. Rows are ``{"id": "...", "values": {...}}``, or objects of columns that are numbered from 1.

    The id of a row may be that of its prediction: ``?prediction=`` of the list finds it again.
    """

    version = serializers.CharField(max_length=200, help_text="version:credit-scoring/14")
    endpoint = serializers.CharField(max_length=128, help_text="Name of the registered endpoint that serves it.")
    method = serializers.ChoiceField(choices=Method.choices)
    rows = serializers.ListField(
        child=serializers.DictField(), allow_empty=False, max_length=requests.MOST_SAMPLED, required=False
    )
    background = serializers.ListField(
        child=serializers.DictField(), allow_empty=False, max_length=requests.MOST_BACKGROUND, required=False
    )
    draw = DrawSerializer(default=None, allow_null=True, help_text="Rows, background or both from a data set.")
    seed = serializers.IntegerField(min_value=0, max_value=2**63 - 1, default=0)
    level = serializers.ChoiceField(choices=Level.choices, default=Level.STANDARD)
    tol = serializers.DecimalField(
        max_digits=5, decimal_places=4, min_value=0, max_value=1, default=None, allow_null=True
    )
    algorithm = serializers.ChoiceField(choices=Algorithm.choices, default=Algorithm.AUTO)
    scale = serializers.ChoiceField(choices=Scale.choices, default=None, allow_null=True)
    of_class = serializers.CharField(max_length=128, default=None, allow_null=True, help_text="Of the contract.")
    groups = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField(max_length=500)), default=None, allow_null=True
    )
    sample = serializers.IntegerField(default=None, allow_null=True, help_text="Rows to draw from those given.")
    budget = serializers.IntegerField(default=None, allow_null=True, help_text="Model rows at most.")
    notify = serializers.CharField(
        max_length=400, default="", allow_blank=True, help_text="An https:// address that is told of the end."
    )
    subjects = serializers.DictField(
        child=serializers.CharField(max_length=200), default=dict, help_text="Row id: the person it is about."
    )
    background_subjects = serializers.ListField(
        child=serializers.CharField(max_length=200, allow_blank=True),
        default=list,
        max_length=requests.MOST_BACKGROUND,
        help_text="The person of each background row in order; empty for nobody. None at all: the list is empty.",
    )


class OneRequestSerializer(RequestSerializer):
    """The same for one row, and how long somebody waits for it."""

    rows = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=1)
    sample = None  # type: ignore[assignment]
    draw = None  # type: ignore[assignment]
    seconds = serializers.FloatField(min_value=0, max_value=LONGEST_WAIT, default=3)


class ListQuerySerializer(serializers.Serializer[Any]):
    """Which explanations a list has; every word narrows it."""

    version = serializers.CharField(required=False, help_text="Only those of this version:name/number.")
    endpoint = serializers.CharField(required=False, help_text="Only those that asked the endpoint of this name.")
    method = serializers.ChoiceField(choices=Method.choices, required=False)
    state = serializers.ChoiceField(choices=State.choices, required=False)
    standing = serializers.ChoiceField(choices=Standing.choices, required=False)
    prediction = serializers.CharField(
        required=False, max_length=64, help_text="Only finished ones that explain the row with this id."
    )


class ReasonSerializer(serializers.Serializer[Any]):
    """Why a job is cancelled or paused."""

    reason = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class RerunSerializer(serializers.Serializer[Any]):
    """Another seed asks whether the answer depends on chance; none repeats every bit."""

    seed = serializers.IntegerField(min_value=0, max_value=2**63 - 1, default=None, allow_null=True)


class EstimateSerializer(serializers.Serializer[Any]):
    """What a question would cost. ``seconds_likely`` is null before a probe measured the endpoint's speed."""

    rows = serializers.IntegerField()
    features = serializers.IntegerField()
    background = serializers.IntegerField()
    model_rows_likely = serializers.IntegerField()
    model_rows_most = serializers.IntegerField()
    requests_likely = serializers.IntegerField()
    seconds_likely = serializers.FloatField(allow_null=True)
    budget = serializers.IntegerField()
    algorithm = serializers.CharField()


class ExplanationSerializer(serializers.ModelSerializer[ExplanationJob]):
    """A job without its rows."""

    subject = serializers.CharField(read_only=True)
    version = serializers.CharField(source="version.subject", read_only=True)
    endpoint = serializers.CharField(source="endpoint.name", read_only=True)

    class Meta:
        model = ExplanationJob
        fields: tuple[str, ...] = (
            "id",
            "subject",
            "version",
            "digest",
            "endpoint",
            "method",
            "state",
            "standing",
            "error",
            "tol",
            "seed",
            "requested_by",
            "requested",
            "started",
            "ended",
            "receipt_digest",
        )
        read_only_fields = fields


class ResultSerializer(serializers.ModelSerializer[ExplanationRow]):
    """One explained row; ``phi`` and ``se`` follow the job's columns. ``digest`` is what the receipt is made of."""

    class Meta:
        model = ExplanationRow
        fields = (
            "row_id",
            "phi",
            "se",
            "base",
            "fx",
            "residual",
            "evals",
            "rounds",
            "converged",
            "certain",
            "problem",
            "diagnostics",
            "digest",
            "erased",
        )
        read_only_fields = fields


class StatusSerializer(ExplanationSerializer):
    """A job with how it was asked and how far it is, without results."""

    progress = serializers.SerializerMethodField()
    columns = serializers.JSONField(read_only=True)
    output = serializers.JSONField(read_only=True)
    settings = serializers.JSONField(read_only=True)
    algorithm = serializers.CharField(read_only=True)
    repeats = serializers.SerializerMethodField()
    agreement = serializers.SerializerMethodField()
    stale = serializers.SerializerMethodField()

    class Meta(ExplanationSerializer.Meta):
        fields = (
            *ExplanationSerializer.Meta.fields,
            "progress",
            "columns",
            "output",
            "settings",
            "algorithm",
            "repeats",
            "agreement",
            "stale",
        )
        read_only_fields = fields

    def get_progress(self, job: ExplanationJob) -> dict[str, float | None]:
        made = queries.progress(job)
        told = {"done": made.done, "total": made.total, "percent": made.percent, "evals": made.evals}
        return {**told, "rows_per_second": made.rate, "seconds_left": made.seconds_left}

    def get_repeats(self, job: ExplanationJob) -> str | None:
        return job.repeats.subject if job.repeats else None

    def get_agreement(self, job: ExplanationJob) -> dict[str, Any] | None:
        found: dict[str, Any] | None = job.receipt.get("agreement")
        return found

    def get_stale(self, job: ExplanationJob) -> list[str]:
        """Codes of why a finished job no longer speaks about what is there."""
        return list(standing_now(job).reasons) if job.state == State.FINISHED else []


class DetailSerializer(StatusSerializer):
    """A job with progress, receipt and results."""

    receipt = serializers.JSONField(read_only=True)
    results = ResultSerializer(many=True, read_only=True)

    class Meta(StatusSerializer.Meta):
        fields = (*StatusSerializer.Meta.fields, "receipt", "results")
        read_only_fields = fields


class ResultsSerializer(serializers.Serializer[Any]):
    """Everything that a finished job found."""

    explanation = serializers.CharField()
    receipt_digest = serializers.CharField()
    columns = serializers.ListField(child=serializers.CharField())
    results = ResultSerializer(many=True)


class ReceiptSerializer(serializers.Serializer[Any]):
    """The receipt and its digest, as the page offers it for download."""

    receipt = serializers.JSONField()
    digest = serializers.CharField()


class ErasureSerializer(serializers.Serializer[Any]):
    """Whose rows go, and why."""

    subject = serializers.CharField(max_length=200, help_text="The person, named as the questions named them.")
    reason = serializers.CharField(max_length=2000)


class ErasedSerializer(serializers.Serializer[Any]):
    """How many rows of how many explanations were erased."""

    jobs = serializers.IntegerField()
    rows = serializers.IntegerField()
