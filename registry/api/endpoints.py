"""Endpoints: where a version answers, what its answer means, and where it says which version it is."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.api.strict import Strict
from registry import environments, queries
from registry.api.asking import actor_of, page_of
from registry.api.catalogue import READ_AND_CHANGE
from registry.models import Endpoint, Protocol


class EndpointAnswer(serializers.ModelSerializer[Endpoint]):
    subject = serializers.CharField(read_only=True)
    environment = serializers.CharField(source="environment.slug", read_only=True)
    version = serializers.CharField(source="version.subject", read_only=True)

    class Meta:
        model = Endpoint
        fields = (
            "name",
            "subject",
            "environment",
            "version",
            "url",
            "identity",
            "protocol",
            "output",
            "options",
            "concurrency",
            "rows_per_second",
            "timeout",
            "credential",
            "created",
        )


class Called(Strict):
    """How an endpoint is called; what is left out keeps its value."""

    options = serializers.JSONField(required=False, help_text="Keys of the protocol, see docs/serving.md.")
    concurrency = serializers.IntegerField(
        required=False, min_value=1, max_value=16, help_text="Requests in flight at once, over all workers (2)."
    )
    rows_per_second = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=1_000_000, help_text="Over all workers; null: no cap."
    )
    timeout = serializers.IntegerField(
        required=False, min_value=1, max_value=600, help_text="Seconds for one whole answer (30)."
    )
    credential = serializers.CharField(
        required=False,
        max_length=64,
        allow_blank=True,
        help_text="Names what lets this server in; never its value.",
    )


class EndpointChange(Called):
    version = serializers.CharField(required=False, max_length=160, help_text="version:<model>/<number>")
    url = serializers.CharField(required=False, max_length=400)
    identity = serializers.CharField(
        required=False, max_length=400, allow_blank=True, help_text="Answers which version is served; empty: none does."
    )
    protocol = serializers.ChoiceField(required=False, choices=Protocol.choices)
    output = serializers.DictField(required=False, help_text="What an answer means.")


class NewEndpoint(Called):
    name = serializers.CharField(max_length=128)
    environment = serializers.CharField(max_length=128)
    version = serializers.CharField(max_length=160, help_text="version:<model>/<number>")
    url = serializers.CharField(max_length=400, help_text="Its host must be in ALLOWED_ENDPOINT_HOSTS.")
    identity = serializers.CharField(required=False, max_length=400, allow_blank=True)
    protocol = serializers.ChoiceField(choices=Protocol.choices, default=Protocol.MLFLOW)
    output = serializers.DictField(help_text="What an answer means, as {'kind': 'probability', 'of_class': '1'}.")


class Endpoints(APIView):
    """All endpoints; POST registers one."""

    required_action: ClassVar[dict[str, str]] = READ_AND_CHANGE
    ordering = "-id"

    @extend_schema(responses=EndpointAnswer(many=True))
    def get(self, request: Request) -> Response:
        return page_of(self, request, environments.endpoints(), EndpointAnswer)

    @extend_schema(request=NewEndpoint, responses={201: EndpointAnswer})
    def post(self, request: Request) -> Response:
        body = NewEndpoint(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        given["environment"] = environments.find_environment(given["environment"])
        given["version"] = queries.version_by_subject(given["version"])
        endpoint = environments.register_endpoint(given.pop("name"), **given, by=actor_of(request))
        return Response(EndpointAnswer(endpoint).data, status=201)


class EndpointDetail(APIView):
    """One endpoint; PATCH says that it serves another version or answers elsewhere."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read", "PATCH": "registry.change"}

    @extend_schema(responses=EndpointAnswer)
    def get(self, request: Request, name: str) -> Response:
        return Response(EndpointAnswer(environments.find_endpoint(name)).data)

    @extend_schema(request=EndpointChange, responses=EndpointAnswer)
    def patch(self, request: Request, name: str) -> Response:
        body = EndpointChange(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        if "version" in given:
            given["version"] = queries.version_by_subject(given["version"])
        endpoint = environments.change_endpoint(environments.find_endpoint(name), **given, by=actor_of(request))
        return Response(EndpointAnswer(endpoint).data)
