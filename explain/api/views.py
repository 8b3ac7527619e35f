"""``/api/v1/explanations``: ask, list, read, cancel."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import NotKnown
from explain import jobs, queries, tables
from explain.api.serializers import DetailSerializer, ExplanationSerializer, ReasonSerializer, RequestSerializer
from explain.models import ExplanationJob
from registry.queries import version_by_subject


class Explanations(GenericAPIView[ExplanationJob]):
    """All explanations, newest first, and the way to ask for one."""

    required_action = {"GET": "explain.read", "POST": "explain.request"}
    serializer_class = ExplanationSerializer

    def get_queryset(self) -> QuerySet[ExplanationJob]:
        return queries.jobs()

    @extend_schema(
        operation_id="explanations_list",
        parameters=[OpenApiParameter("version", str, description="Only those of this version:name/number.")],
        responses=ExplanationSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        found = self.get_queryset()
        if subject := request.query_params.get("version"):
            found = found.filter(version=version_by_subject(subject))
        page = self.paginate_queryset(found) or []
        return self.get_paginated_response(ExplanationSerializer(page, many=True).data)

    @extend_schema(operation_id="explanations_request", request=RequestSerializer, responses={201: DetailSerializer})
    def post(self, request: Request) -> Response:
        asked = RequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        data = asked.validated_data
        version = version_by_subject(data["version"])
        endpoint = queries.endpoints().filter(name=data["endpoint"]).first()
        if endpoint is None:
            raise NotKnown(_("There is no endpoint “%(name)s”.") % {"name": data["endpoint"]}, code="endpoint.unknown")
        user: Any = request.user
        job = jobs.request(
            version,
            endpoint,
            method=data["method"],
            rows=tables.with_ids(data["rows"]),
            background=data["background"],
            seed=data["seed"],
            tol=data["tol"],
            by=user.actor,
        )
        answer = Response(DetailSerializer(queries.find(job.pk)).data, status=201)
        answer["Location"] = job.get_absolute_url()
        return answer


class Explanation(APIView):
    """One explanation with progress, receipt and results."""

    required_action = {"GET": "explain.read"}

    @extend_schema(operation_id="explanations_read", responses=DetailSerializer)
    def get(self, request: Request, job_id: int) -> Response:
        return Response(DetailSerializer(queries.find(job_id)).data)


class Cancel(APIView):
    """Cancel a waiting or running explanation."""

    required_action = {"POST": "explain.request"}

    @extend_schema(operation_id="explanations_cancel", request=ReasonSerializer, responses=DetailSerializer)
    def post(self, request: Request, job_id: int) -> Response:
        given = ReasonSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        user: Any = request.user
        jobs.cancel(queries.find(job_id), reason=given.validated_data["reason"], by=user.actor)
        return Response(DetailSerializer(queries.find(job_id)).data)
