"""Keys whose signatures on evidence are believed: list, propose, confirm, withdraw."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import evidence_keys
from governance.api import answers
from governance.api.caller import caller, paginator
from governance.api.serializers import EvidenceKeyConfirmation, EvidenceKeyRequest, Withdrawal
from governance.models.evidence_key import EvidenceKey


class EvidenceKeys(APIView):
    """Keys, newest first; POST proposes one, which is believed once a second person confirms it."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read", "POST": "policy.change"}
    ordering = "-id"

    @extend_schema(operation_id="evidence_keys_list", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        pages = paginator()
        page = pages.paginate_queryset(EvidenceKey.objects.all(), request, view=self) or []
        return pages.get_paginated_response([answers.evidence_key_json(row) for row in page])

    @extend_schema(request=EvidenceKeyRequest, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = EvidenceKeyRequest(data=request.data)
        body.is_valid(raise_exception=True)
        row = evidence_keys.propose(**body.validated_data, by=caller(request).actor)
        return Response(answers.evidence_key_json(row), status=201)


class Confirming(APIView):
    """Confirm a key that somebody else proposed, with the password again. A token cannot."""

    # Who may confirm is decided, and a refused attempt recorded, by the step itself.
    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.read"}

    @extend_schema(request=EvidenceKeyConfirmation, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = EvidenceKeyConfirmation(data=request.data)
        body.is_valid(raise_exception=True)
        row = evidence_keys.confirm_with_password(
            reference, **body.validated_data, user=caller(request), request=request._request
        )
        return Response(answers.evidence_key_json(row))


class Withdrawing(APIView):
    """Nothing that the key signed counts as signed any more; what serves is decided again."""

    required_action: ClassVar[dict[str, str]] = {"POST": "policy.change"}

    @extend_schema(request=Withdrawal, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = Withdrawal(data=request.data)
        body.is_valid(raise_exception=True)
        row = evidence_keys.withdraw(reference, reason=body.validated_data["reason"], by=caller(request).actor)
        return Response(answers.evidence_key_json(row))
