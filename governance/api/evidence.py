"""Evidence for versions: list, record, read, withdraw."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import evidence
from governance.api import answers
from governance.api.caller import caller, paginator
from governance.api.serializers import EvidenceRequest, Withdrawal
from governance.evidence_list import EvidenceFilter
from registry import environments, queries
from registry.api.asking import filters_of, searched


class EvidenceList(APIView):
    """Evidence, newest first; POST records a piece. Only the document's digest is sent, never the document."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read", "POST": "evidence.change"}
    ordering = "-id"

    @extend_schema(
        operation_id="evidence_list", parameters=filters_of(EvidenceFilter), responses={200: OpenApiTypes.OBJECT}
    )
    def get(self, request: Request) -> Response:
        pages = paginator()
        page = pages.paginate_queryset(searched(request, EvidenceFilter), request, view=self) or []
        now = timezone.now()
        return pages.get_paginated_response([answers.evidence_json(row, now) for row in page])

    @extend_schema(request=EvidenceRequest, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = EvidenceRequest(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = body.validated_data
        row = evidence.record(
            asked["type"],
            queries.version_by_subject(asked["version"]),
            evidence.Paper(
                asked["digest"], asked["title"], asked["author"], asked["issued_at"], asked.get("expires_at")
            ),
            environment=environments.find_environment(slug) if (slug := asked.get("environment")) else None,
            made_for=asked.get("artifact_digest", ""),
            envelope=asked.get("envelope", b""),
            by=caller(request).actor,
        )
        location = {"Location": f"/api/v1/evidence/{row.reference}"}
        return Response(answers.evidence_json(row, row.recorded_at), status=201, headers=location)


class EvidenceDetail(APIView):
    """One piece."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, reference: str) -> Response:
        return Response(answers.evidence_json(evidence.find(reference), timezone.now()))


class EvidenceWithdrawal(APIView):
    """No rule relies on it any more; what serves is decided again."""

    required_action: ClassVar[dict[str, str]] = {"POST": "evidence.change"}

    @extend_schema(request=Withdrawal, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = Withdrawal(data=request.data)
        body.is_valid(raise_exception=True)
        row = evidence.withdraw(reference, reason=body.validated_data["reason"], by=caller(request).actor)
        return Response(answers.evidence_json(row, timezone.now()))
