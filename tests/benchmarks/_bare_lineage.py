"""The product's server with one more view that parses an event and stores its JSON: the bare side of the ingest."""

# ruff: noqa: I001  (the address table is this module, which must be said before the application loads)

from __future__ import annotations

import os
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

from django.conf import settings

settings.ROOT_URLCONF = __name__

from config.wsgi import application as application

from django.db import connection
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

import orjson


class Bare(APIView):
    """Parse, store, answer; the same authentication and the same right."""

    required_action = {"POST": "lineage.report"}

    def post(self, request: Request) -> Response:
        """One row per request."""
        body = request._request.body
        event = orjson.loads(body)
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO bench_event (body) VALUES (%s::jsonb)", [body.decode()])
        return Response({"producer": event["producer"]})


urlpatterns: list[Any] = [path("api/v1/bare", Bare.as_view()), path("", include("config.urls"))]
handler404 = "config.pages.errors.page_not_found"
