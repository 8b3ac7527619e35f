"""Waivers: list, propose, read, approve, revoke."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import waivers
from governance.api import answers
from governance.api.caller import caller, paginator
from governance.api.serializers import Revocation, WaiverApproval, WaiverRequest
from governance.models.waiver import Waiver
from governance.packs import versions_in_force
from registry import environments, versions


class Waivers(APIView):
    """Waivers, newest first; POST proposes one, which excuses nothing until a second person approves it."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read", "POST": "waiver.change"}
    ordering = "-id"

    @extend_schema(operation_id="waivers_list", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        pages = paginator()
        rows = Waiver.objects.select_related("version__model", "environment")
        page = pages.paginate_queryset(rows, request, view=self) or []
        in_force = versions_in_force()
        return pages.get_paginated_response([answers.waiver_json(row, in_force) for row in page])

    @extend_schema(request=WaiverRequest, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = WaiverRequest(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = dict(body.validated_data)
        model = asked.pop("model")
        row = waivers.propose(
            versions.resolve(model["name"], model.get("version"), model.get("digest")),
            environments.find_environment(asked.pop("environment")),
            **asked,
            by=caller(request).actor,
        )
        return Response(
            answers.waiver_json(row, versions_in_force()),
            status=201,
            headers={"Location": f"/api/v1/waivers/{row.reference}"},
        )


class WaiverDetail(APIView):
    """One waiver."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, reference: str) -> Response:
        return Response(answers.waiver_json(waivers.find(reference), versions_in_force()))


class WaiverApproving(APIView):
    """Approve a waiver that somebody else proposed, with the password again. A token cannot.

    Reading is the right that it asks for here: who may approve is decided, and a refused attempt recorded, by the
    approval itself.
    """

    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.read"}

    @extend_schema(request=WaiverApproval, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = WaiverApproval(data=request.data)
        body.is_valid(raise_exception=True)
        given = body.validated_data
        row = waivers.approve_with_password(
            reference,
            reason=given["reason"],
            password=given["password"],
            code=given["code"],
            assertion=given["assertion"],
            user=caller(request),
            request=request._request,
        )
        return Response(answers.waiver_json(row, versions_in_force()))


class WaiverRevocation(APIView):
    """End a waiver with a reason; what serves under it is decided again at once."""

    required_action: ClassVar[dict[str, str]] = {"POST": "waiver.change"}

    @extend_schema(request=Revocation, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = Revocation(data=request.data)
        body.is_valid(raise_exception=True)
        row = waivers.revoke(reference, reason=body.validated_data["reason"], by=caller(request).actor)
        return Response(answers.waiver_json(row, versions_in_force()))
