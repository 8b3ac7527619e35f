"""Promotions: list, request, read, sign, withdraw."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import BadInput, NotKnown
from governance import promotions, queries, retracting, signoffs
from governance.api import promotion_answers
from governance.api.caller import caller, paginator
from governance.api.serializers import PromotionRequest, SignOffRequest, TakingBack, Withdrawal
from governance.models.promotion import PromotionState
from governance.models.signoff import RetractionKind
from registry import environments, versions


class PromotionList(APIView):
    """Promotions, newest first; POST requests one and has it decided at once."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read", "POST": "promotion.request"}
    ordering = "-id"

    @extend_schema(
        operation_id="promotions_list",
        parameters=[OpenApiParameter("state", enum=PromotionState.values), OpenApiParameter("model")],
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        rows = queries.promotions(state=_state(request), model=request.query_params.get("model", ""))
        pages = paginator()
        page = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([promotion_answers.promotion_json(row) for row in page])

    @extend_schema(request=PromotionRequest, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = PromotionRequest(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = body.validated_data
        model = asked["model"]
        promotion = promotions.request(
            versions.resolve(model["name"], model.get("version"), model.get("digest")),
            environments.find_environment(asked["environment"]),
            plan=asked.get("rollout"),
            reason=asked["reason"],
            by=caller(request).actor,
        )
        answer = _whole(promotion.pk)
        return Response(answer, status=201, headers={"Location": f"/api/v1/promotions/{promotion.pk}"})


def _state(request: Request) -> str:
    state = request.query_params.get("state", "")
    if state and state not in PromotionState.values:
        raise BadInput(
            _("The state is one of %(states)s.") % {"states": ", ".join(PromotionState.values)}, code="promotion.state"
        )
    return state


class PromotionDetail(APIView):
    """A promotion with its newest decision and its sign-offs."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, number: int) -> Response:
        return Response(_whole(number))


class SignOffs(APIView):
    """Sign a promotion, with the password again. A token cannot sign.

    Reading is the right that it asks for here: who may sign is decided, and a refused attempt recorded, by the sign-off
    itself.
    """

    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.read"}

    @extend_schema(request=SignOffRequest, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request, number: int) -> Response:
        body = SignOffRequest(data=request.data)
        body.is_valid(raise_exception=True)
        signed: dict[str, Any] = body.validated_data
        signoffs.sign_with_password(
            number,
            meaning=signed["meaning"],
            comment=signed["comment"],
            role=signed["role"],
            subject_digest_seen=signed["subject_digest"],
            password=signed["password"],
            delegation=signed.get("delegation", ""),
            code=signed["code"],
            assertion=signed["assertion"],
            user=caller(request),
            request=request._request,
        )
        return Response(_whole(number), status=201)


class SignOffTakingBack(APIView):
    """Take a signature back, with the password again: ``revoke`` an approval, or ``reopen`` a rejection.

    By who signed, or by a policy owner who had no part in the promotion; who may is decided, and a refused attempt
    recorded, by the taking back itself.
    """

    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.read"}
    kind = RetractionKind.REVOKED

    @extend_schema(request=TakingBack, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, number: int, signoff: int) -> Response:
        body = TakingBack(data=request.data)
        body.is_valid(raise_exception=True)
        retracting.take_back_with_password(
            number, signoff, kind=self.kind, **body.validated_data, user=caller(request), request=request._request
        )
        return Response(_whole(number))


class SignOffReopening(SignOffTakingBack):
    """Reopen a rejection."""

    kind = RetractionKind.REOPENED


class Withdraw(APIView):
    """Take back one's own request."""

    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.withdraw"}

    @extend_schema(request=Withdrawal, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, number: int) -> Response:
        body = Withdrawal(data=request.data)
        body.is_valid(raise_exception=True)
        promotions.withdraw(number, reason=body.validated_data["reason"], by=caller(request).actor)
        return Response(_whole(number))


def _whole(number: int) -> dict[str, Any]:
    promotion = queries.promotion(number)
    if promotion is None:
        raise NotKnown(_("There is no promotion %(number)s.") % {"number": number}, code="promotion.unknown")
    return promotion_answers.promotion_json(promotion, queries.deciding_decision(promotion))
