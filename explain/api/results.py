"""What a finished explanation found: as JSON, as Parquet, as figures, and its receipt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.refusals import Conflict, NotKnown
from explain import queries
from explain.api.serializers import ReceiptSerializer, ResultsSerializer
from explain.models import ExplanationJob, State
from explain.pages import figures
from explain.pages.shown import Shown, shown
from explain.parquet import MEDIA_TYPE, parquet_of


class FormatSerializer(serializers.Serializer[Any]):
    """In which form results are sent."""

    format = serializers.ChoiceField(choices=[("json", "JSON"), ("parquet", "Apache Parquet")], default="json")


class _AsAsked(DefaultContentNegotiation):
    """``format`` is the file's here, and not a choice among the framework's renderers; a refusal is JSON."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type or ""


class FigureQuerySerializer(serializers.Serializer[Any]):
    """Which row, or which feature, a figure is about."""

    row = serializers.CharField(required=False, default="", max_length=64)
    feature = serializers.CharField(required=False, default="", max_length=500)


def _finished(job_id: int) -> ExplanationJob:
    """The job. Raises ``Conflict`` while it has no results that count, ``NotKnown``."""
    job = queries.find(job_id)
    if job.state != State.FINISHED:
        raise Conflict(
            _("%(subject)s has not finished, so it has no results.") % {"subject": job.subject},
            code="explanation.not_finished",
        )
    return job


class Result(APIView):
    """All rows of a finished explanation."""

    content_negotiation_class = _AsAsked
    required_action = {"GET": "explain.read"}

    @extend_schema(
        operation_id="explanations_result",
        parameters=[FormatSerializer],
        responses={(200, "application/json"): ResultsSerializer, (200, MEDIA_TYPE): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, job_id: int) -> Response | HttpResponse:
        asked = FormatSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        job = _finished(job_id)
        rows = queries.results(job)
        if asked.validated_data["format"] == "parquet":
            name = f'attachment; filename="explanation-{job.pk}.parquet"'
            body = parquet_of(job, rows)
            return HttpResponse(body, content_type=MEDIA_TYPE, headers={"Content-Disposition": name})
        told = {
            "explanation": job.subject,
            "receipt_digest": job.receipt_digest,
            "columns": job.names,
            "results": rows,
        }
        return Response(ResultsSerializer(told).data)


class Receipt(APIView):
    """The receipt of a finished explanation."""

    required_action = {"GET": "explain.read"}

    @extend_schema(operation_id="explanations_receipt", responses=ReceiptSerializer)
    def get(self, request: Request, job_id: int) -> Response:
        job = _finished(job_id)
        return Response({"receipt": job.receipt, "digest": job.receipt_digest})


class FigureOf(APIView):
    """A figure as Plotly's JSON, with the same in words and as a table."""

    required_action = {"GET": "explain.read"}

    @extend_schema(
        operation_id="explanations_figure",
        parameters=[
            OpenApiParameter(
                "name", str, OpenApiParameter.PATH, enum=["bars", "beeswarm", "row", "dependence", "decision"]
            ),
            FigureQuerySerializer,
        ],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, job_id: int, name: str) -> Response:
        asked = FigureQuerySerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        job = _finished(job_id)
        data = shown(job, queries.results(job))
        if data is None:
            raise NotKnown(_("No row of this explanation has a result to draw."), code="explanation.nothing_to_draw")
        found = _figure(name, data, **asked.validated_data)
        told = {"caption": found.caption, "finding": found.finding, "header": found.header, "rows": found.rows}
        return Response({"figure": found.spec, **told})


def _figure(name: str, data: Shown, *, row: str, feature: str) -> figures.Figure:
    """Raises ``NotKnown`` for a figure, row or feature that there is not."""
    if name == "bars":
        return figures.importance_figure(data)
    if name == "beeswarm":
        return figures.beeswarm_figure(data)
    if name == "row":
        return figures.row_figure(data, _row(data, row or data.ids[0]))
    if name == "dependence" and not data.lime:
        return figures.dependence_figure(data, _feature(data, feature))
    if name == "decision" and not data.lime:
        return figures.decision_figure(data, _row(data, row) if row else None)
    raise NotKnown(
        _("This explanation has no figure “%(name)s”.") % {"name": name[:64]}, code="explanation.figure_unknown"
    )


def _row(data: Shown, row: str) -> int:
    place = data.place(row)
    if place is None:
        raise NotKnown(_("This explanation has no row “%(id)s”.") % {"id": row[:64]}, code="explanation.row_unknown")
    return place


def _feature(data: Shown, feature: str) -> int:
    having = [j for j, cells in enumerate(data.columns) if cells and (not feature or data.names[j] == feature)]
    if not having:
        raise NotKnown(
            _("This explanation has no feature “%(name)s”.") % {"name": feature[:64]},
            code="explanation.feature_unknown",
        )
    return having[0]
