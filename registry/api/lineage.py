"""Closures and ways for programs: what came out of a subject, what went into it, and how one led to another."""

from __future__ import annotations

from typing import ClassVar

import orjson
from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import BadInput
from registry.lineage import whole
from registry.lineage.reach import ENDS, Way

_MOST = 100
_FOCUS = OpenApiParameter("focus", str, required=True, description="dataset:loans, run:…, version:credit-scoring/3, …")


class Closure(APIView):
    """Every subject upstream or downstream of one, each once: data sets, runs, versions, deployments, explanations."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(
        parameters=[_FOCUS, OpenApiParameter("direction", str, required=True, enum=list(ENDS))],
        responses=inline_serializer(
            "LineageClosure",
            {
                "focus": serializers.CharField(),
                "direction": serializers.ChoiceField(choices=list(ENDS)),
                "count": serializers.IntegerField(help_text="The subjects besides the focus."),
                "nodes": serializers.ListField(child=serializers.CharField(), help_text="Without the focus."),
            },
        ),
    )
    def get(self, request: Request) -> HttpResponse:
        focus, direction = _subject(request, "focus"), _direction(request.query_params.get("direction", ""))
        nodes = whole.closure(focus, direction)
        nodes.remove(focus)
        nodes.sort()
        answer = {"focus": focus, "direction": direction, "count": len(nodes), "nodes": nodes}
        # half a million names: the JSON renderer of the framework takes ten times as long
        return HttpResponse(orjson.dumps(answer), content_type="application/json")


class Paths(APIView):
    """How data got from one subject to another: some shortest ways, and every edge of every way."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(
        parameters=[
            OpenApiParameter("source", str, required=True, description="dataset:loans"),
            OpenApiParameter("target", str, required=True, description="version:credit-scoring/3"),
            OpenApiParameter("limit", int, description="shortest ways to list, 1 to 100; default 10"),
        ],
        responses=inline_serializer(
            "LineagePaths",
            {
                "source": serializers.CharField(),
                "target": serializers.CharField(),
                "distance": serializers.IntegerField(allow_null=True, help_text="Edges; null: there is no way."),
                "paths": serializers.ListField(child=serializers.ListField(child=serializers.CharField())),
                "edges": serializers.ListField(child=serializers.DictField()),
            },
        ),
    )
    def get(self, request: Request) -> Response:
        source, target = _subject(request, "source"), _subject(request, "target")
        found = whole.ways(source, target, limit=_limit(request.query_params.get("limit", "")))
        return Response(
            {
                "source": source,
                "target": target,
                "distance": found.distance,
                "paths": [list(path) for path in found.paths],
                "edges": [{"source": e.source, "target": e.target, "kind": e.kind} for e in found.edges],
            }
        )


def _subject(request: Request, name: str) -> str:
    text = request.query_params.get(name, "")
    if not text or "\0" in text or len(text) > 200:
        sentence = _("Name the subject: ?%(name)s=version:credit-scoring/3") % {"name": name}
        raise BadInput(sentence, code="lineage.subject", fields={name: sentence})
    return text


def _direction(text: str) -> Way:
    for known in ENDS:
        if text == known:
            return known
    raise BadInput(_("direction is upstream or downstream."), fields={"direction": _("Unknown direction.")})


def _limit(text: str) -> int:
    if not text:
        return 10
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= _MOST):
        sentence = _("limit is a whole number from 1 to %(most)d.") % {"most": _MOST}
        raise BadInput(sentence, fields={"limit": sentence})
    return int(text)
