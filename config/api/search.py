"""``GET /api/v1/search``: what Ctrl K finds, for programs."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import BadInput
from config.searching import search


class FoundAnswer(serializers.Serializer[Any]):
    """One thing that was found; ``url`` is its page, ``kind`` the plural word of what it is."""

    kind = serializers.CharField()
    title = serializers.CharField()
    note = serializers.CharField(allow_blank=True)
    state = serializers.CharField(allow_blank=True)
    url = serializers.CharField()


class SearchAnswer(serializers.Serializer[Any]):
    """The first few of each kind."""

    results = FoundAnswer(many=True)


class Search(APIView):
    """Models, versions, data sets, environments, promotions, incidents, findings and entries that a text names."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(
        parameters=[OpenApiParameter("q", str, required=True, description="Name, number, digest, run or request id.")],
        responses=SearchAnswer,
    )
    def get(self, request: Request) -> Response:
        """What the caller may read, at most six of each kind."""
        text = request.query_params.get("q", "").strip()
        if not text:
            sentence = _("Say what to search for: ?q=")
            raise BadInput(sentence, code="find.empty", fields={"q": sentence})
        found = [
            {
                "kind": group.kind,
                "title": result.title,
                "note": result.note,
                "state": result.state,
                "url": f"{settings.PUBLIC_URL}{result.url}",
            }
            for group in search(text, request.user)
            if group.kind != "pages"
            for result in group.results
        ]
        return Response({"results": found})
