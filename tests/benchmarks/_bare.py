"""The product's server with one more view, authenticated and reading one row: the bare side of ``gate_check``."""

# ruff: noqa: I001  (the address table is this module, which must be said before the application loads)

from __future__ import annotations

import os
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"

from django.conf import settings

settings.ROOT_URLCONF = __name__

from config.wsgi import application as application

from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from registry.models import Environment


class Bare(APIView):
    """What any authenticated JSON view costs here."""

    required_action = {"POST": "gate.check"}

    def post(self, request: Request) -> Response:
        """One row by its key."""
        row = Environment.objects.get(slug=request.data["environment"])
        return Response({"slug": row.slug, "regions": row.regions})


urlpatterns: list[Any] = [path("api/v1/bare", Bare.as_view()), path("", include("config.urls"))]
handler404 = "config.pages.errors.page_not_found"
