"""The reconciler's findings and its looks."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.api.strict import Strict
from registry import finding_wording, findings
from registry.api.asking import actor_of, filters_of, page_of, searched
from registry.lists import FindingFilter
from registry.models import Finding, ReconcilerRun
from registry.reconciling.run import reconcile


class Closing(Strict):
    reason = serializers.CharField(max_length=2000, help_text="Why the difference is accepted, or how it was mended.")


class Nothing(Strict):
    """No field at all: an action that needs no more than its address."""


class FindingAnswer(serializers.ModelSerializer[Finding]):
    """``recorded`` is what stands here, ``observed`` what was seen; ``accepted``: closed, and still there."""

    subject = serializers.CharField(read_only=True)
    sentence = serializers.SerializerMethodField()
    accepted = serializers.BooleanField(read_only=True)
    last_seen = serializers.DateTimeField(source="seen.at", read_only=True)
    times_seen = serializers.IntegerField(source="seen.times", read_only=True)

    class Meta:
        model = Finding
        fields = (
            "id",
            "subject",
            "kind",
            "sentence",
            "concerns",
            "version",
            "environment",
            "recorded",
            "observed",
            "state",
            "accepted",
            "owner",
            "first_seen",
            "last_seen",
            "times_seen",
            "closed_by",
            "closed_at",
            "reason",
            "gone",
        )

    def get_sentence(self, finding: Finding) -> str:
        return finding_wording.sentence(finding)


class PlaceAnswer(serializers.Serializer[Any]):
    """A served model, or a deployment that nobody can ask (``endpoint`` is empty)."""

    endpoint = serializers.CharField()
    environment = serializers.CharField()
    model = serializers.CharField()
    recorded = serializers.ListField(child=serializers.CharField())
    said = serializers.CharField(help_text="What it says that it serves; empty when it does not say.")
    state = serializers.CharField(help_text="agrees, differs, cannot_tell or unreachable; only agrees is fine.")
    why = serializers.CharField()


class RunAnswer(serializers.ModelSerializer[ReconcilerRun]):
    """One look. Without ``complete`` there is something that nobody could look at: no differences is not agreement."""

    places = PlaceAnswer(many=True)
    unread_servers = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = ReconcilerRun
        fields = (
            "id",
            "began",
            "ended",
            "asked_by",
            "complete",
            "differences",
            "opened",
            "gone",
            "places",
            "unread_servers",
            "source",
        )


class Findings(APIView):
    """Findings, newest first; without filters every one."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}
    ordering = "-id"

    @extend_schema(parameters=filters_of(FindingFilter), responses=FindingAnswer(many=True))
    def get(self, request: Request) -> Response:
        return page_of(self, request, searched(request, FindingFilter), FindingAnswer)


class FindingDetail(APIView):
    """One finding."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(responses=FindingAnswer)
    def get(self, request: Request, number: int) -> Response:
        return Response(FindingAnswer(findings.find(number)).data)


class FindingTaking(APIView):
    """Become the owner of a finding."""

    required_action: ClassVar[dict[str, str]] = {"POST": "finding.take"}

    @extend_schema(request=Nothing, responses=FindingAnswer)
    def post(self, request: Request, number: int) -> Response:
        Nothing(data=request.data).is_valid(raise_exception=True)
        findings.take(number, by=actor_of(request))
        return Response(FindingAnswer(findings.find(number)).data)


class FindingClosing(APIView):
    """Close a finding with a reason; while exactly this difference stands, it is counted as accepted."""

    required_action: ClassVar[dict[str, str]] = {"POST": "finding.close"}

    @extend_schema(request=Closing, responses=FindingAnswer)
    def post(self, request: Request, number: int) -> Response:
        body = Closing(data=request.data)
        body.is_valid(raise_exception=True)
        findings.close(number, reason=body.validated_data["reason"], by=actor_of(request))
        return Response(FindingAnswer(findings.find(number)).data)


class Runs(APIView):
    """The looks of the reconciler, newest first; POST looks now and answers when it has looked."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read", "POST": "finding.take"}
    ordering = "-id"

    @extend_schema(responses=RunAnswer(many=True))
    def get(self, request: Request) -> Response:
        return page_of(self, request, ReconcilerRun.objects.all(), RunAnswer)

    @extend_schema(request=Nothing, responses={201: RunAnswer})
    def post(self, request: Request) -> Response:
        Nothing(data=request.data).is_valid(raise_exception=True)
        return Response(RunAnswer(reconcile(by=actor_of(request))).data, status=201)
