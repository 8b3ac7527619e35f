"""One deployment with the records of its strategy, and drills of rollbacks."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.api.strict import Strict
from registry import describing, environments, strategy_records, versions
from registry.api.asking import actor_of
from registry.api.serializers import DeploymentAnswer
from registry.models import Deployment, StrategyRecord


class NewStrategyRecord(Strict):
    record = serializers.JSONField(help_text="An object with the fields of the deployment's strategy.")


class NewDrill(Strict):
    environment = serializers.CharField(max_length=128)
    model = serializers.CharField(max_length=128)
    version = serializers.IntegerField(min_value=1, max_value=2_000_000_000)
    reason = serializers.CharField(max_length=4000, help_text="What was practised, and what came out.")
    seconds = serializers.IntegerField(min_value=0, max_value=86_400, help_text="Until it would have served.")
    worked = serializers.BooleanField()


class StrategyRecordAnswer(serializers.ModelSerializer[StrategyRecord]):
    record = serializers.JSONField()

    class Meta:
        model = StrategyRecord
        fields = ("id", "record", "digest", "actor_id", "at")


class OneDeploymentAnswer(DeploymentAnswer):
    """A deployment, the records of its strategy (newest first), and the fields that such a record must have."""

    records = serializers.SerializerMethodField()
    record_requires = serializers.SerializerMethodField()

    class Meta(DeploymentAnswer.Meta):
        fields = (*DeploymentAnswer.Meta.fields, "records", "record_requires")  # type: ignore[assignment]

    @extend_schema(responses=StrategyRecordAnswer(many=True))
    def get_records(self, deployment: Deployment) -> list[dict[str, Any]]:
        return [StrategyRecordAnswer(row).data for row in deployment.records.all()[:200]]

    def get_record_requires(self, deployment: Deployment) -> list[str]:
        return list(strategy_records.required(deployment.strategy))


class OneDeployment(APIView):
    """One deployment."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(responses=OneDeploymentAnswer)
    def get(self, request: Request, number: int) -> Response:
        return Response(OneDeploymentAnswer(describing.find(number)).data)


class DeploymentRecords(APIView):
    """Add what the strategy records of its own, for example the next step of a canary; earlier records stay."""

    required_action: ClassVar[dict[str, str]] = {"POST": "deploy.record"}

    @extend_schema(request=NewStrategyRecord, responses={201: StrategyRecordAnswer})
    def post(self, request: Request, number: int) -> Response:
        body = NewStrategyRecord(data=request.data)
        body.is_valid(raise_exception=True)
        row = describing.describe(describing.find(number), body.validated_data["record"], by=actor_of(request))
        return Response(StrategyRecordAnswer(row).data, status=201)


class Drills(APIView):
    """Record that a rollback was practised. Nothing that serves changes."""

    required_action: ClassVar[dict[str, str]] = {"POST": "rollback.record"}

    @extend_schema(request=NewDrill, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = NewDrill(data=request.data)
        body.is_valid(raise_exception=True)
        given: dict[str, Any] = body.validated_data
        row = describing.record_drill(
            environments.find_environment(given["environment"]),
            versions.resolve(given["model"], given["version"]),
            reason=given["reason"],
            seconds=given["seconds"],
            worked=given["worked"],
            by=actor_of(request),
        )
        return Response(DeploymentAnswer(row).data, status=201)
