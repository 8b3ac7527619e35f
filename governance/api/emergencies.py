"""Emergencies: list, declare, read, confirm, stop, review. Every change needs a person; a token reads."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import emergency, emergency_in_person
from governance.api import answers
from governance.api.caller import caller, paginator
from governance.api.serializers import EmergencyConfirmation, EmergencyRequest, EmergencyReview, Revocation
from governance.models.emergency import Emergency
from governance.models.roles import Action
from registry import environments, versions

# Who may do what is decided, and a refused attempt recorded, by the step itself: reading is the right asked for here.
_READ = "promotion.read"


class Emergencies(APIView):
    """Emergencies, newest first; POST declares one with the password again: nothing goes until a second confirms."""

    required_action: ClassVar[dict[str, str]] = {"GET": _READ, "POST": _READ}
    ordering = "-id"

    @extend_schema(operation_id="emergencies_list", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        pages = paginator()
        rows = Emergency.objects.select_related("version__model", "environment")
        page = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([answers.emergency_json(row) for row in page])

    @extend_schema(request=EmergencyRequest, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = EmergencyRequest(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = dict(body.validated_data)
        model = asked.pop("model")
        row = emergency_in_person.declare_with_password(
            versions.resolve(model["name"], model.get("version"), model.get("digest")),
            environments.find_environment(asked.pop("environment")),
            **asked,
            user=caller(request),
            request=request._request,
        )
        return Response(
            answers.emergency_json(row), status=201, headers={"Location": f"/api/v1/emergencies/{row.reference}"}
        )


class EmergencyDetail(APIView):
    """One emergency."""

    required_action: ClassVar[dict[str, str]] = {"GET": _READ}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, reference: str) -> Response:
        return Response(answers.emergency_json(emergency.find(reference)))


class Confirming(APIView):
    """Confirm what somebody else declared, with the password again; it begins at once."""

    required_action: ClassVar[dict[str, str]] = {"POST": _READ}

    @extend_schema(request=EmergencyConfirmation, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = EmergencyConfirmation(data=request.data)
        body.is_valid(raise_exception=True)
        row = emergency_in_person.confirm_with_password(
            reference, **body.validated_data, user=caller(request), request=request._request
        )
        return Response(answers.emergency_json(row))


class Stopping(APIView):
    """Withdraw an emergency, or end it before its time; its review stays due."""

    required_action: ClassVar[dict[str, str]] = {"POST": _READ}

    @extend_schema(request=Revocation, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = Revocation(data=request.data)
        body.is_valid(raise_exception=True)
        user = caller(request)
        if not user.has_perm(Action.EMERGENCY_REVIEW):
            user.require(Action.EMERGENCY_DECLARE)
        row = emergency.stop(reference, reason=body.validated_data["reason"], by=user.actor)
        return Response(answers.emergency_json(row))


class Reviewing(APIView):
    """Ratify an emergency or not, with the password again. Who declared or confirmed it cannot."""

    required_action: ClassVar[dict[str, str]] = {"POST": _READ}

    @extend_schema(request=EmergencyReview, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = EmergencyReview(data=request.data)
        body.is_valid(raise_exception=True)
        row = emergency_in_person.review_with_password(
            reference, **body.validated_data, user=caller(request), request=request._request
        )
        return Response(answers.emergency_json(row))
