"""``GET /runs/{id}``: one training run with what it read and made."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from registry import runs
from registry.runs import RunDetail


class TrainingRunAnswer(serializers.Serializer[RunDetail]):
    run_id = serializers.CharField(source="run.run_id")
    subject = serializers.CharField(source="run.subject")
    name = serializers.CharField(source="run.name")
    tracking_server = serializers.CharField(source="run.tracking_server")
    contributors = serializers.ListField(source="run.contributors", child=serializers.CharField())
    params = serializers.DictField(source="run.params", child=serializers.CharField())
    metrics = serializers.DictField(source="run.metrics", child=serializers.CharField())
    started = serializers.DateTimeField(source="run.started", allow_null=True)
    ended = serializers.DateTimeField(source="run.ended", allow_null=True)
    inputs = serializers.ListField(child=serializers.CharField(), help_text="Subjects that it read.")
    outputs = serializers.ListField(child=serializers.CharField(), help_text="Subjects that it made.")


class OneRun(APIView):
    """One run of a tracking server, or of a job that OpenLineage reported."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(operation_id="run", responses=TrainingRunAnswer)
    def get(self, request: Request, run_id: str) -> Response:
        return Response(TrainingRunAnswer(runs.run_detail(run_id)).data)
