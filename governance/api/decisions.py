"""Decisions as they were recorded, made again, and how they would have passed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from countersign import reports
from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import NotKnown
from governance import queries, replay, ways
from governance.api import answers
from governance.api.caller import caller
from governance.api.serializers import ExplainQuery, ReplayRequest
from governance.models.decision import Decision


class DecisionDetail(APIView):
    """A decision as it was recorded, with its facts."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, public_id: str) -> Response:
        return Response(answers.decision_json(known_decision(public_id)))


#: What each report is sent as.
_TYPES = {
    "json": "application/json",
    "sarif": "application/sarif+json",
    "junit": "application/xml",
    "md": "text/markdown; charset=utf-8",
    "github": "text/plain; charset=utf-8",
}


class _AsAsked(DefaultContentNegotiation):
    """``format`` is the report's here, and not a choice among the framework's renderers; a refusal is JSON."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type or ""


class DecisionExplain(APIView):
    """A recorded decision as a report: for code scanning, test reports, a merge request or a workflow's log. The same
    renderer as in the command line, so that both say the same.
    """

    content_negotiation_class = _AsAsked
    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(parameters=[ExplainQuery], responses={200: OpenApiTypes.STR})
    def get(self, request: Request, public_id: str) -> HttpResponse:
        query = ExplainQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        shape = query.validated_data["format"]
        report = reports.SHAPES[shape](answers.recorded_answer(known_decision(public_id)))
        return HttpResponse(report, content_type=_TYPES[shape], headers={"X-Content-Type-Options": "nosniff"})


class DecisionReplay(APIView):
    """Decide again on the stored facts. With the packs of then the same must come out: ``same`` is false otherwise, the
    differences are recorded and an alert is raised. With the packs of now it is a what-if, of which nothing is kept.
    """

    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.read"}

    @extend_schema(request=ReplayRequest, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, public_id: str) -> Response:
        body = ReplayRequest(data=request.data)
        body.is_valid(raise_exception=True)
        decision = known_decision(public_id)
        if body.validated_data["packs"] == "now":
            return Response(answers.what_if_json(replay.what_if(decision)))
        return Response(answers.replay_json(replay.replay(decision, by=caller(request).actor)))


class DecisionWays(APIView):
    """How the decision would have passed: the smallest sets of actions that flip it, found by deciding again on the
    facts of then, with who can do each and where. Nothing is recorded. What nothing cures stands in ``stuck``.
    """

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, public_id: str) -> Response:
        decision = known_decision(public_id)
        return Response(answers.ways_json(decision, ways.to_pass(decision)))


def known_decision(public_id: str) -> Decision:
    """The decision, with what it is about. Raises ``NotKnown``."""
    decision = queries.decision(public_id)
    if decision is None:
        raise NotKnown(_("There is no decision %(id)s.") % {"id": public_id[:60]}, code="decision.unknown")
    return decision
