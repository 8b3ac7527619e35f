"""Delegations: who signs for whom; list all, make one's own, end it."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import delegations
from governance.api import promotion_answers
from governance.api.caller import caller, paginator
from governance.api.serializers import DelegationRequest, Revocation
from governance.models.delegation import Delegation


class Delegations(APIView):
    """Delegations, newest first; POST lets somebody sign in the caller's place, with the password. A token cannot.

    Reading is the right that it asks for here: who may delegate is decided, and a refused attempt recorded, by the
    delegation itself.
    """

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read", "POST": "promotion.read"}
    ordering = "-id"

    @extend_schema(operation_id="delegations_list", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        pages = paginator()
        page = pages.paginate_queryset(Delegation.objects.all(), request, view=self) or []
        return pages.get_paginated_response([promotion_answers.delegation_json(row) for row in page])

    @extend_schema(request=DelegationRequest, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = DelegationRequest(data=request.data)
        body.is_valid(raise_exception=True)
        given: dict[str, Any] = dict(body.validated_data)
        row = delegations.make_with_password(
            given.pop("role"), given.pop("to"), **given, user=caller(request), request=request._request
        )
        where = {"Location": f"/api/v1/delegations/{row.reference}"}
        return Response(promotion_answers.delegation_json(row), status=201, headers=where)


class DelegationDetail(APIView):
    """One delegation."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, reference: str) -> Response:
        return Response(promotion_answers.delegation_json(delegations.find(reference)))


class DelegationEnd(APIView):
    """End a delegation with a reason, as one of its two people; what was signed under it stays signed."""

    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.read"}

    @extend_schema(request=Revocation, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = Revocation(data=request.data)
        body.is_valid(raise_exception=True)
        row = delegations.end(reference, reason=body.validated_data["reason"], by=caller(request).actor)
        return Response(promotion_answers.delegation_json(row))
