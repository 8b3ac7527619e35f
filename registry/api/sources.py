"""Tracking servers: what their newest imports did, and an import on demand."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from registry.sources.overview import order_import, sources


class MirrorAnswer(serializers.Serializer[Any]):
    """What a server is told of changes here. ``refused`` will not be sent again; ``error`` is the newest one's."""

    on = serializers.BooleanField()
    waiting = serializers.IntegerField()
    refused = serializers.IntegerField()
    error = serializers.CharField()
    tried = serializers.DateTimeField(allow_null=True)


class SourceAnswer(serializers.Serializer[Any]):
    """A tracking server; ``newest`` is null before its first import."""

    name = serializers.CharField()
    address = serializers.CharField()
    prefix = serializers.CharField()
    failed = serializers.BooleanField()
    began = serializers.DateTimeField(source="newest.began", default=None)
    ended = serializers.DateTimeField(source="newest.ended", default=None)
    refusal = serializers.CharField(source="newest.refusal", default="")
    counts = serializers.DictField(child=serializers.IntegerField(), source="newest.counts", default=dict)
    problems = serializers.ListField(child=serializers.CharField(), source="newest.problems", default=list)
    mirror = MirrorAnswer()


class Sources(APIView):
    """Every tracking server of the settings with its newest import."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(responses=SourceAnswer(many=True))
    def get(self, request: Request) -> Response:
        return Response({"results": SourceAnswer(sources(), many=True).data})


class Imports(APIView):
    """POST has a worker import what is new on every tracking server; GET the sources to see when it has ended."""

    required_action: ClassVar[dict[str, str]] = {"POST": "registry.change"}

    @extend_schema(request=None, responses={202: dict[str, Any]})
    def post(self, request: Request) -> Response:
        order_import()
        return Response({"ordered": True}, status=202)
