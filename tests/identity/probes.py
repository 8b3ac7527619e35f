"""Views that exist for tests only: what every real view gets from the foundation, with nothing else around it."""

from __future__ import annotations

from typing import Any

from django.db import OperationalError, transaction
from django.http import Http404
from django.urls import include, path
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.actors import Actor
from audit.refusals import Conflict, Refused
from governance import accounts
from governance.models import User


class Body(serializers.Serializer[Any]):
    username = serializers.CharField()
    tags = serializers.ListField(child=serializers.IntegerField(), required=False)


class Make(APIView):
    """POST makes an account, so that a doubled request would be seen in the table."""

    required_action = {"GET": "registry.read", "POST": "registry.change"}

    def get(self, request: Request) -> Response:
        return Response({"name": request.user.username})

    def post(self, request: Request) -> Response:
        body = Body(data=request.data)
        body.is_valid(raise_exception=True)
        with transaction.atomic():
            user = accounts.create_user(
                username=body.validated_data["username"], display_name="Probe", by=Actor.system("probe")
            )
        if "crash" in user.username:
            raise RuntimeError("a mistake after the change")
        return Response({"uuid": str(user.uuid)}, status=201)


class Behind(APIView):
    """Changes an account without an entry."""

    required_action = {"POST": "registry.change"}

    def post(self, request: Request) -> Response:
        User.objects.filter(username=request.data["username"]).update(display_name="Somebody else")
        return Response({})


class Undeclared(APIView):
    def get(self, request: Request) -> Response:
        return Response({"secret": True})


class Half(APIView):
    required_action = {"GET": "registry.read"}

    def get(self, request: Request) -> Response:
        return Response({})

    def post(self, request: Request) -> Response:
        return Response({"secret": True})


class Misspelt(APIView):
    required_action = {"GET": "registry.reed"}

    def get(self, request: Request) -> Response:
        return Response({"secret": True})


class Fail(APIView):
    required_action = {"GET": "registry.read"}

    def get(self, request: Request, how: str) -> Response:
        if how == "refused":
            raise Refused("The gate is closed.", reasons=["Compliance has not signed."], code="gate.closed")
        if how == "conflict":
            raise Conflict("It was signed already.", code="signoff.state")
        if how == "serialization":
            error = OperationalError("could not serialize access")
            error.__cause__ = type("Cause", (Exception,), {"sqlstate": "40001"})()
            raise error
        if how == "mistake":
            raise RuntimeError("ours")
        raise Http404


class Everyone(APIView):
    required_action = {"GET": "registry.read"}
    ordering = "id"

    def get(self, request: Request) -> Response:
        paginator = self.settings.DEFAULT_PAGINATION_CLASS()
        page = paginator.paginate_queryset(User.objects.all(), request, view=self)
        return paginator.get_paginated_response([user.username for user in page])  # type: ignore[no-any-return]


urlpatterns = [
    path("api/v1/probe/make", Make.as_view()),
    path("api/v1/probe/behind", Behind.as_view()),
    path("api/v1/probe/undeclared", Undeclared.as_view()),
    path("api/v1/probe/half", Half.as_view()),
    path("api/v1/probe/misspelt", Misspelt.as_view()),
    path("api/v1/probe/fail/<str:how>", Fail.as_view()),
    path("api/v1/probe/everyone", Everyone.as_view()),
    path("", include("config.urls")),
]
handler404 = "config.pages.errors.page_not_found"
handler500 = "config.pages.errors.server_error"
