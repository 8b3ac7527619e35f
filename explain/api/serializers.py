"""What the explanation API reads and answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from explain import queries
from explain.models import ExplanationJob, ExplanationRow, Method


class RequestSerializer(serializers.Serializer[Any]):
    """The question. Rows are ``{"id": "...", "values": {...}}``, or objects of columns that are numbered from 1."""

    version = serializers.CharField(max_length=200, help_text="version:credit-scoring/14")
    endpoint = serializers.CharField(max_length=128, help_text="Name of the registered endpoint that serves it.")
    method = serializers.ChoiceField(choices=Method.choices)
    rows = serializers.ListField(child=serializers.DictField(), allow_empty=False, max_length=500)
    background = serializers.ListField(child=serializers.DictField(), allow_empty=False, max_length=500)
    seed = serializers.IntegerField(min_value=0, max_value=2**63 - 1, default=0)
    tol = serializers.DecimalField(max_digits=5, decimal_places=4, min_value=0, max_value=1, default=Decimal("0.05"))


class ReasonSerializer(serializers.Serializer[Any]):
    """Why a job is cancelled."""

    reason = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class ExplanationSerializer(serializers.ModelSerializer[ExplanationJob]):
    """A job without its rows."""

    subject = serializers.CharField(read_only=True)
    version = serializers.CharField(source="version.subject", read_only=True)
    endpoint = serializers.CharField(source="endpoint.name", read_only=True)

    class Meta:
        model = ExplanationJob
        fields = (
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
    """One explained row; ``phi`` and ``se`` follow the job's columns."""

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
        )
        read_only_fields = fields


class DetailSerializer(ExplanationSerializer):
    """A job with progress, receipt and results."""

    progress = serializers.SerializerMethodField()
    columns = serializers.JSONField(read_only=True)
    receipt = serializers.JSONField(read_only=True)
    results = ResultSerializer(many=True, read_only=True)

    class Meta:
        model = ExplanationJob
        fields = (*ExplanationSerializer.Meta.fields, "progress", "columns", "receipt", "results")
        read_only_fields = fields

    def get_progress(self, job: ExplanationJob) -> dict[str, int]:
        made = queries.progress(job)
        return {"done": made.done, "total": made.total, "percent": made.percent, "evals": made.evals}
