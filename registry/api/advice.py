"""Which deployment strategy fits what is needed."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import BadInput
from registry import strategy_words
from registry.strategy_advice import KINDS, NEEDS, Advice, Option, advise


class StrategyAdvice(APIView):
    """The strategies that meet all of ``needs`` (``fitting``, the one to take first), and why the others do not.

    Decides nothing. With nothing fitting, the first of ``others`` comes closest.
    """

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(
        parameters=[
            OpenApiParameter("need", str, many=True, enum=NEEDS, description="What is needed; may be repeated."),
            OpenApiParameter("kind", str, enum=KINDS, description="How predictions are made; online when left out."),
        ],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        try:
            advice = advise(request.query_params.getlist("need"), request.query_params.get("kind", "online"))
        except ValueError as error:
            sentence = _("%(what)s. Needs: %(needs)s. Kinds: %(kinds)s.") % {
                "what": str(error)[:200],
                "needs": ", ".join(NEEDS),
                "kinds": ", ".join(KINDS),
            }
            raise BadInput(sentence, code="advice.unknown") from error
        return Response(_told(advice))


def _told(advice: Advice) -> dict[str, Any]:
    return {
        "kind": advice.kind,
        "needs": list(advice.needs),
        "conclusion": strategy_words.conclusion(advice),
        "fitting": [_option(each) for each in advice.fitting],
        "others": [_option(each) for each in advice.others],
    }


def _option(option: Option) -> dict[str, Any]:
    return {
        "strategy": option.strategy,
        "meets": list(option.meets),
        "lacks": list(option.lacks),
        "against": strategy_words.against(option),
        "then": option.then or None,
    }
