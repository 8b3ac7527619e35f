"""Environments, what serves in them as of any moment, the history of deployments, and lineage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.as_of import asked
from audit.refusals import BadInput, NotKnown
from registry import deployments, environments, queries
from registry.api import serializers as shapes
from registry.api.asking import AS_OF, actor_of, filters_of, page_of, searched
from registry.api.catalogue import READ_AND_CHANGE
from registry.as_of import SERVING, existing, registry_at
from registry.lineage.graph import Direction, Edge
from registry.lists import DeploymentFilter, EnvironmentFilter, alone

DIRECTIONS: tuple[Direction, ...] = ("upstream", "downstream", "both")


class Environments(APIView):
    """All environments; POST registers one."""

    required_action: ClassVar[dict[str, str]] = READ_AND_CHANGE
    ordering = "-id"

    @extend_schema(parameters=filters_of(EnvironmentFilter), responses=shapes.EnvironmentAnswer(many=True))
    def get(self, request: Request) -> Response:
        return page_of(self, request, searched(request, EnvironmentFilter), shapes.EnvironmentAnswer)

    @extend_schema(request=shapes.NewEnvironment, responses={201: shapes.EnvironmentAnswer})
    def post(self, request: Request) -> Response:
        body = shapes.NewEnvironment(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        given["regions_served"] = given.pop("regions")
        environment = environments.register_environment(given.pop("slug"), **given, by=actor_of(request))
        return Response(shapes.EnvironmentAnswer(environment).data, status=201)


class EnvironmentDetail(APIView):
    """One environment, now or at ``as_of``; PATCH says where its backups lie, who looks at it, where workers run."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read", "PATCH": "registry.change"}

    @extend_schema(parameters=[AS_OF], responses=shapes.EnvironmentAnswer)
    def get(self, request: Request, slug: str) -> Response:
        if then := asked(request.query_params.get("as_of", "")):
            found = existing(registry_at(then, of=("environment", slug)).environments, slug, then)
            return Response(shapes.environment_then(found, then))
        return Response(shapes.EnvironmentAnswer(environments.find_environment(slug)).data)

    @extend_schema(request=shapes.EnvironmentChange, responses=shapes.EnvironmentAnswer)
    def patch(self, request: Request, slug: str) -> Response:
        body = shapes.EnvironmentChange(data=request.data)
        body.is_valid(raise_exception=True)
        environment = environments.find_environment(slug)
        changed = environments.change_environment(environment, **body.validated_data, by=actor_of(request))
        return Response(shapes.EnvironmentAnswer(changed).data)


class Serving(APIView):
    """What serves in an environment, or served at ``as_of``."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(parameters=[AS_OF], responses=shapes.ServingAnswer)
    def get(self, request: Request, slug: str) -> Response:
        then = asked(request.query_params.get("as_of", ""))
        if then is not None:
            found = registry_at(then, of=("environment", slug))
            existing(found.environments, slug, then)
            rows = [shapes.served_then(each) for each in found.serving()]
            answer = {"environment": slug, "as_of": then.at, "through_entry": then.last, "serving": rows}
            return Response(shapes.ServingAnswer(answer).data)
        environment = environments.find_environment(slug)
        rows = [shapes.served_now(each) for each in deployments.serving(environment)]
        answer = {"environment": slug, "as_of": timezone.now(), "through_entry": None, "serving": rows}
        return Response(shapes.ServingAnswer(answer).data)


class History(APIView):
    """Every deployment and rollback, newest first; with ``as_of`` only those that served then, told by the log."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}
    ordering = "-id"

    @extend_schema(parameters=[AS_OF, *filters_of(DeploymentFilter)], responses=shapes.DeploymentAnswer(many=True))
    def get(self, request: Request) -> Response:
        rows = searched(request, DeploymentFilter, "as_of")
        alone(request.query_params)
        then = asked(request.query_params.get("as_of", ""))
        if then is None:
            return page_of(self, request, rows, shapes.DeploymentAnswer)
        served = [shapes.deployment_then(each.deployment) for each in registry_at(then, SERVING).serving()]
        return Response({"next": None, "previous": None, "through_entry": then.last, "results": served})


class Lineage(APIView):
    """The lineage around a subject: upstream, downstream or both, as deep as asked."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(
        parameters=[
            OpenApiParameter("focus", str, required=True, description="version:credit-scoring/3"),
            OpenApiParameter("direction", str, enum=DIRECTIONS, description="default both"),
            OpenApiParameter("depth", int, description="1 to 50; default everything"),
        ],
        responses=shapes.LineageAnswer,
    )
    def get(self, request: Request) -> Response:
        focus, found = asked_edges(request.query_params)
        nodes = sorted({focus} | {each for edge in found for each in (edge.source, edge.target)})
        rows = [{"source": edge.source, "target": edge.target, "kind": edge.kind} for edge in found]
        return Response(shapes.LineageAnswer({"focus": focus, "nodes": nodes, "edges": rows}).data)


def asked_edges(asked: Mapping[str, str]) -> tuple[str, tuple[Edge, ...]]:
    """The focus of a query string and the edges around it. Raises BadInput, NotKnown."""
    focus = asked.get("focus", "")
    if not focus:
        raise BadInput(_("Name the subject: ?focus=version:credit-scoring/3"), fields={"focus": _("Required.")})
    found = queries.edges_from(focus, direction_of(asked.get("direction", "both")), depth_of(asked.get("depth", "")))
    if not found and not queries.subjects_known([focus]):
        sentence = _("Nothing called “%(focus)s” is in the lineage.") % {"focus": focus[:160]}
        raise NotKnown(sentence, code="lineage.focus")
    return focus, found


def direction_of(text: str) -> Direction:
    """Which way to walk. Raises BadInput for any other word."""
    for known in DIRECTIONS:
        if text == known:
            return known
    raise BadInput(_("direction is upstream, downstream or both."), fields={"direction": _("Unknown direction.")})


def depth_of(text: str) -> int | None:
    """How many steps; None for all. Raises BadInput for anything but 1 to 50."""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= 50:
        raise BadInput(_("depth is a whole number from 1 to 50."), fields={"depth": _("1 to 50.")})
    return int(text)
