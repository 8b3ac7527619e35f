"""``/api/v1/analyses``, the reasons of a row, and two explanations beside each other."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from explain import analyses, comparisons, queries, reasons
from explain.api.analysis_serializers import (
    AnalysisDetailSerializer,
    AnalysisRequestSerializer,
    AnalysisSerializer,
    CompareQuerySerializer,
    ReasonsQuerySerializer,
    ReasonsRequestSerializer,
    ReasonsSerializer,
)
from explain.models import Analysis


class Analyses(GenericAPIView[Analysis]):
    """All analyses, newest first, and the way to ask for one."""

    required_action = {"GET": "explain.read", "POST": "explain.request"}
    serializer_class = AnalysisSerializer

    def get_queryset(self) -> QuerySet[Analysis]:
        return Analysis.objects.with_names()

    @extend_schema(operation_id="analyses_list", responses=AnalysisSerializer(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(AnalysisSerializer(page, many=True).data)

    @extend_schema(
        operation_id="analyses_request", request=AnalysisRequestSerializer, responses={201: AnalysisDetailSerializer}
    )
    def post(self, request: Request) -> Response:
        asked = AnalysisRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        second = given.pop("second")
        user: Any = request.user
        analysis = analyses.request(
            given.pop("kind"),
            queries.find(given.pop("first")),
            None if second is None else queries.find(second),
            by=user.actor,
            **given,
        )
        answer = Response(AnalysisDetailSerializer(analyses.find(analysis.pk)).data, status=201)
        answer["Location"] = analysis.get_absolute_url()
        return answer


class OneAnalysis(APIView):
    """One analysis with result and receipt."""

    required_action = {"GET": "explain.read"}

    @extend_schema(operation_id="analyses_read", responses=AnalysisDetailSerializer)
    def get(self, request: Request, analysis_id: int) -> Response:
        return Response(AnalysisDetailSerializer(analyses.find(analysis_id)).data)


class ReasonsOfRow(APIView):
    """The principal reasons of one row. Nothing is written; POST carries texts and groups."""

    required_action = {"GET": "explain.read", "POST": "explain.read"}

    @extend_schema(
        operation_id="explanations_reasons", parameters=[ReasonsQuerySerializer], responses=ReasonsSerializer
    )
    def get(self, request: Request, job_id: int) -> Response:
        asked = ReasonsQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        given["protected"] = [name.strip() for name in given["protected"].split(",") if name.strip()]
        return _reasons(job_id, given)

    @extend_schema(
        operation_id="explanations_reasons_with_texts",
        request=ReasonsRequestSerializer,
        responses={200: ReasonsSerializer},
    )
    def post(self, request: Request, job_id: int) -> Response:
        asked = ReasonsRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return _reasons(job_id, dict(asked.validated_data))


def _reasons(job_id: int, given: dict[str, Any]) -> Response:
    row_id = given.pop("row")
    asked = reasons.Asked(**given)
    found = reasons.of_row(queries.find(job_id), row_id, asked)
    told = {**asdict(found), "rules": reasons.rules_digest(asked), "sentences": reasons.sentences(found)}
    return Response(ReasonsSerializer(told).data)


class Compare(APIView):
    """Two finished explanations of the same rows, row by row and over all."""

    required_action = {"GET": "explain.read"}

    @extend_schema(
        operation_id="explanations_compare", parameters=[CompareQuerySerializer], responses=OpenApiTypes.OBJECT
    )
    def get(self, request: Request) -> Response:
        asked = CompareQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        found = comparisons.compare(queries.find(asked.validated_data["a"]), queries.find(asked.validated_data["b"]))
        told = {"conclusion": comparisons.conclusion(found), "quality": comparisons.quality(found)}
        return Response(told | comparisons.as_json(found))


urlpatterns = [
    path("analyses", Analyses.as_view(), name="analyses"),
    path("analyses/<int:analysis_id>", OneAnalysis.as_view(), name="analysis"),
    path("explanations/compare", Compare.as_view(), name="compare"),
    path("explanations/<int:job_id>/reasons", ReasonsOfRow.as_view(), name="reasons"),
]
