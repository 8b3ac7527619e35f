"""Deploys and rollbacks, recorded by the pipeline."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import rollouts
from governance.api import answers
from governance.api.caller import caller
from governance.api.serializers import DeployRecord, RollbackRecord
from registry import environments, versions


class Deployments(APIView):
    """Record a deploy: presents the permit of an allowed decision and uses it up."""

    required_action: ClassVar[dict[str, str]] = {"POST": "deploy.record"}

    @extend_schema(request=DeployRecord, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = DeployRecord(data=request.data)
        body.is_valid(raise_exception=True)
        sent: dict[str, Any] = body.validated_data
        deployment = rollouts.record_deploy(
            sent["decision_id"],
            secret=sent["permit"],
            environment=sent["environment"],
            strategy=sent.get("strategy", ""),
            weight=sent.get("weight"),
            record=sent.get("record"),
            alias=sent.get("alias", ""),
            by=caller(request).actor,
        )
        return Response({**answers.deployment_json(deployment), "alias": sent.get("alias")}, status=201)


class Rollbacks(APIView):
    """Record an emergency rollback to a version that served before; needs a reason and an incident, no sign-offs."""

    required_action: ClassVar[dict[str, str]] = {"POST": "rollback.record"}

    @extend_schema(request=RollbackRecord, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = RollbackRecord(data=request.data)
        body.is_valid(raise_exception=True)
        sent: dict[str, Any] = body.validated_data
        model = sent["model"]
        done = rollouts.record_rollback(
            versions.resolve(model["name"], model.get("version"), model.get("digest")),
            environments.find_environment(sent["environment"]),
            reason=sent["reason"],
            incident=sent["incident"],
            alias=sent.get("alias", ""),
            by=caller(request).actor,
        )
        return Response({**answers.deployment_json(done.deployment), "alias": sent.get("alias")}, status=201)
