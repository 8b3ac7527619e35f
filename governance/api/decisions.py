"""Decisions as they were recorded, and made again."""

from __future__ import annotations

from typing import ClassVar

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import NotKnown
from governance import queries, replay
from governance.api import answers
from governance.api.caller import caller
from governance.api.serializers import ReplayRequest
from governance.models.decision import Decision


class DecisionDetail(APIView):
    """A decision as it was recorded, with its facts."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, public_id: str) -> Response:
        return Response(answers.decision_json(_decision(public_id)))


class DecisionReplay(APIView):
    """Decide again on the stored facts. With the packs of then the same must come out: ``same`` is false otherwise, the
    differences are recorded and an alert is raised. With the packs of now it is a what-if, of which nothing is kept.
    """

    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.read"}

    @extend_schema(request=ReplayRequest, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, public_id: str) -> Response:
        body = ReplayRequest(data=request.data)
        body.is_valid(raise_exception=True)
        decision = _decision(public_id)
        if body.validated_data["packs"] == "now":
            return Response(answers.what_if_json(replay.what_if(decision)))
        return Response(answers.replay_json(replay.replay(decision, by=caller(request).actor)))


def _decision(public_id: str) -> Decision:
    decision = queries.decision(public_id)
    if decision is None:
        raise NotKnown(_("There is no decision %(id)s.") % {"id": public_id[:60]}, code="decision.unknown")
    return decision
