"""OpenLineage in and out: events of runs, jobs and data sets, one or many, kept as they came."""

from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import NotKnown
from registry import queries
from registry.api.asking import actor_of, page_of
from registry.api.places import DIRECTIONS, Lineage, asked_edges
from registry.models import OpenLineageEvent
from registry.sources import openlineage_intake as intake
from registry.sources import openlineage_out

GZIP = OpenApiParameter("Content-Encoding", str, OpenApiParameter.HEADER, enum=("gzip",))


class EventAnswer(serializers.Serializer[Any]):
    """An event that was taken in; ``known``: the same text had come before."""

    digest = serializers.CharField(help_text="sha256 of the event's exact text")
    known = serializers.BooleanField()


class SummaryAnswer(serializers.Serializer[Any]):
    """How many events of a batch were taken in."""

    received = serializers.IntegerField()
    successful = serializers.IntegerField()
    failed = serializers.IntegerField()
    retriable = serializers.IntegerField()
    non_retriable = serializers.IntegerField()


class FailedEvent(serializers.Serializer[Any]):
    """An event of a batch that was not taken in."""

    index = serializers.IntegerField(help_text="its place in the array, from 0")
    reason = serializers.CharField()
    code = serializers.CharField()
    retriable = serializers.BooleanField()


class BatchAnswer(serializers.Serializer[Any]):
    """What became of each event."""

    status = serializers.ChoiceField(choices=("success", "partial_success", "failure"))
    summary = SummaryAnswer()
    failed_events = FailedEvent(many=True)


class KeptEvent(serializers.ModelSerializer[OpenLineageEvent]):
    state = serializers.CharField(source="outcome.state", read_only=True)
    problems = serializers.ListField(source="outcome.problems", child=serializers.CharField(), read_only=True)

    class Meta:
        model = OpenLineageEvent
        fields = (
            "digest",
            "kind",
            "run_id",
            "event_type",
            "event_time",
            "producer",
            "actor_id",
            "received",
            "state",
            "problems",
        )


class LineageAndEvents(Lineage):
    """The lineage around a subject; POST takes an event of OpenLineage."""

    required_action: ClassVar[dict[str, str]] = {**Lineage.required_action, "POST": "lineage.report"}

    @extend_schema(parameters=[GZIP], request=OpenApiTypes.OBJECT, responses=EventAnswer)
    def post(self, request: Request) -> Response:
        """One RunEvent, JobEvent or DatasetEvent; kept at once, read into the lineage within seconds."""
        kept = intake.take_in(_body(request), by=actor_of(request))
        return Response(EventAnswer({"digest": kept.digest, "known": not kept.new}).data)


class Batch(APIView):
    """Many events of OpenLineage at once."""

    required_action: ClassVar[dict[str, str]] = {"POST": "lineage.report"}

    @extend_schema(parameters=[GZIP], request=OpenApiTypes.OBJECT, responses=BatchAnswer)
    def post(self, request: Request) -> Response:
        """An array of events; one that cannot be read stops no other and is in ``failed_events``."""
        results = intake.take_in_all(_body(request), by=actor_of(request))
        failed = [
            {"index": index, "reason": each.refused.sentence, "code": each.refused.code, "retriable": False}
            for index, each in enumerate(results)
            if each.refused is not None
        ]
        good = len(results) - len(failed)
        summary = {"received": len(results), "successful": good, "failed": len(failed)}
        summary |= {"retriable": 0, "non_retriable": len(failed)}
        status = "success" if not failed else "partial_success" if good else "failure"
        return Response(BatchAnswer({"status": status, "summary": summary, "failed_events": failed}).data)


class Events(APIView):
    """The events that were taken in, newest first."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}
    ordering = "-id"

    @extend_schema(parameters=[OpenApiParameter("run", str, description="a runId")], responses=KeptEvent(many=True))
    def get(self, request: Request) -> Response:
        rows = OpenLineageEvent.objects.select_related("outcome").defer("body")
        if run := request.query_params.get("run", ""):
            rows = rows.filter(run_id=run.lower()[:64])
        return page_of(self, request, rows, KeptEvent)


class EventText(APIView):
    """One event, byte for byte as it came."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(responses={(200, "application/json"): OpenApiTypes.OBJECT})
    def get(self, request: Request, digest: str) -> HttpResponse:
        found = OpenLineageEvent.objects.filter(digest=digest).first()
        if found is None:
            sentence = _("No event with the digest %(digest)s was taken in.") % {"digest": digest[:80]}
            raise NotKnown(sentence, code="openlineage.unknown")
        return HttpResponse(bytes(found.body), content_type="application/json")


class Out(APIView):
    """The lineage around a subject as events of OpenLineage."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(
        parameters=[
            OpenApiParameter("focus", str, required=True, description="dataset:loans"),
            OpenApiParameter("direction", str, enum=DIRECTIONS, description="default both"),
            OpenApiParameter("depth", int, description="1 to 50; default everything"),
        ],
        responses=serializers.ListSerializer(child=serializers.JSONField()),
    )
    def get(self, request: Request) -> Response:
        """An array that another catalogue's batch endpoint takes."""
        focus, found = asked_edges(request.query_params)
        runs = {end for edge in found for end in (edge.source, edge.target) if end.startswith("run:")}
        # whole runs: an event with half of its inputs would say that there are no others
        return Response(openlineage_out.events_of(focus, sorted({*found, *queries.edges_at(runs)})))


def _body(request: Request) -> bytes:
    """The unpacked body. Raises ``UnsupportedMediaType`` (415), ``TooLarge`` (413), ``BadInput``."""
    kind = (request._request.content_type or "").lower()
    if kind and kind != "application/json":
        raise UnsupportedMediaType(kind)
    return intake.unpacked(request._request.body, request.headers.get("Content-Encoding", ""))
