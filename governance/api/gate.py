"""``POST /gate/checks``."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import gate
from governance.api import answers
from governance.api.caller import caller
from governance.api.idempotency import replay_while
from governance.api.serializers import GateCheck
from registry import environments, versions


class GateChecks(APIView):
    """Ask whether a version may be promoted, deployed or rolled back in an environment.

    Every decision, a denial too, answers 200: read ``decision`` and treat all but ``allow`` as no.
    """

    required_action: ClassVar[dict[str, str]] = {"POST": "gate.check"}

    @extend_schema(request=GateCheck, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = GateCheck(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = body.validated_data
        model = asked["model"]
        answer = gate.check(
            versions.resolve(model["name"], model.get("version"), model.get("digest")),
            environments.find_environment(asked["environment"]),
            action=asked["action"],
            target=asked.get("target"),
            rollout=asked.get("rollout"),
            dry_run=asked["mode"] == "dry_run",
            ci=asked.get("ci"),
            by=caller(request).actor,
        )
        response = Response(answers.gate_answer(answer))
        if answer.verdict.outcome == "allow":  # a yes that is over must not be heard again; an old no does no harm
            ends = [answer.verdict.valid_until, *([answer.permit.expires_at] if answer.permit else [])]
            replay_while(response, until=min(ends), permit=answer.permit)
        return response
