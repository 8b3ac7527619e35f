"""``POST /gate/checks``, and waiting until a pending one is decided."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import waiting
from governance.api import answers
from governance.api.caller import caller
from governance.api.decisions import known_decision
from governance.api.idempotency import replay_while
from governance.api.serializers import GateCheck, WaitQuery
from governance.api.waiting import Question, wait_for
from governance.models.decision import Outcome
from registry import environments, versions


class GateChecks(APIView):
    """Ask whether a version may be promoted, deployed or rolled back in an environment.

    Every decision, a denial too, answers 200: read ``decision`` and treat all but ``allow`` as no. With ``wait_s`` a
    pending answer comes at most that much later, and is decided again when the promotion changes. What is kept for an
    Idempotency-Key is the first answer.
    """

    required_action: ClassVar[dict[str, str]] = {"POST": "gate.check"}

    @extend_schema(request=GateCheck, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = GateCheck(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = body.validated_data
        question = _question(asked)
        seconds = asked["wait_s"]
        before = question.mark() if seconds else waiting.Mark()
        ask = question.try_out if asked["mode"] == "dry_run" else question.ask
        answer = ask(caller(request))
        response = Response(answers.gate_answer(answer))
        if answer.verdict.outcome == "allow":  # a yes that is over must not be heard again; an old no does no harm
            ends = [answer.verdict.valid_until, *([answer.permit.expires_at] if answer.permit else [])]
            replay_while(response, until=min(ends), permit=answer.permit)
        if answer.verdict.outcome == Outcome.PENDING and seconds:
            wait_for(response, question, before=before, seconds=seconds)
        return response


class GateWait(APIView):
    """The newest answer to a question that was pending, as soon as it is decided and at the latest after ``timeout``
    seconds: ``pending`` then, and at once with ``Retry-After`` when too many wait already.

    It is decided again, and recorded, when the promotion changes. What is decided already is decided again at once.
    """

    required_action: ClassVar[dict[str, str]] = {"GET": "gate.check"}

    @extend_schema(parameters=[WaitQuery], responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, public_id: str) -> Response:
        query = WaitQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        decision = known_decision(public_id)
        question = Question(
            decision.version,
            decision.environment,
            decision.action,
            rollout=decision.subject_parts.get("rollout"),
            ci=decision.ci,
        )
        before = question.mark()
        if decision.outcome == Outcome.PENDING and not before.is_newer_than(decision):
            response = Response(answers.recorded_answer(decision))
        else:
            answer = question.ask(caller(request))
            response = Response(answers.gate_answer(answer))
        response["Cache-Control"] = "no-store"
        if response.data["decision"] == Outcome.PENDING:
            wait_for(response, question, before=before, seconds=query.validated_data["timeout"])
        return response


def _question(asked: dict[str, Any]) -> Question:
    model = asked["model"]
    return Question(
        versions.resolve(model["name"], model.get("version"), model.get("digest")),
        environments.find_environment(asked["environment"]),
        asked["action"],
        target=asked.get("target"),
        rollout=asked.get("rollout"),
        ci=asked.get("ci"),
    )
