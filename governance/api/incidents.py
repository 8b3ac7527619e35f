"""Incidents and what they reach, for programs. Lifting needs a person who signed in; everything else a scope."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any, ClassVar

from django.http import FileResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.api.strict import Strict
from audit.exports import sheets
from governance import blast, blast_table, freezing
from governance.api.answers import absolute, instant
from governance.api.caller import caller, paginator
from governance.api.serializers import Moment
from governance.blast import BlastRadius
from registry import incidents
from registry.api.asking import filters_of, searched
from registry.lists import IncidentFilter
from registry.models import Incident

_ASKED = [
    OpenApiParameter(
        "subject", str, required=True, description="dataset:…, run:…, version:…, model:…, region:… or library:…"
    ),
    OpenApiParameter("since", OpenApiTypes.DATETIME, description="deployments that served since then; default all"),
]


class NewIncident(Strict):
    title = serializers.CharField(max_length=200, help_text="What it is called; without names of people.")
    root = serializers.CharField(  # type: ignore[assignment]  # a field's name, no property
        max_length=200, help_text="dataset:…, run:…, version:…, model:…, region:… or library:…"
    )
    since = Moment(help_text="From when on it is unlawful.")
    reason = serializers.CharField(max_length=4000)


class Step(Strict):
    reason = serializers.CharField(max_length=4000)


class Asked(Strict):
    subject = serializers.CharField(max_length=200)
    since = Moment(required=False)


class Incidents(APIView):
    """Incidents, newest first; POST opens one, which holds nothing until it is frozen."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read", "POST": "incident.change"}
    ordering = "-id"

    @extend_schema(
        operation_id="incidents_list", parameters=filters_of(IncidentFilter), responses={200: OpenApiTypes.OBJECT}
    )
    def get(self, request: Request) -> Response:
        pages = paginator()
        page = pages.paginate_queryset(searched(request, IncidentFilter), request, view=self) or []
        return pages.get_paginated_response([incident_json(row) for row in page])

    @extend_schema(request=NewIncident, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = NewIncident(data=request.data)
        body.is_valid(raise_exception=True)
        given = dict(body.validated_data)
        incident = incidents.open_incident(given.pop("title"), **given, by=caller(request).actor)
        return Response(incident_json(incident), status=201)


class IncidentDetail(APIView):
    """One incident, with the versions that it held when it was frozen."""

    required_action: ClassVar[dict[str, str]] = {"GET": "registry.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, reference: str) -> Response:
        incident = incidents.find(reference)
        return Response({**incident_json(incident), "held": incident.held})


class _Stepping(APIView):
    """One step of an incident, with its reason."""

    take: ClassVar[Callable[..., Incident]]

    @extend_schema(request=Step, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = Step(data=request.data)
        body.is_valid(raise_exception=True)
        incident = type(self).take(reference, reason=body.validated_data["reason"], by=caller(request).actor)
        return Response({**incident_json(incident), "held": incident.held})


class Freeze(_Stepping):
    """Hold what it reached and will reach: every later gate check on it denies and cites the incident."""

    required_action: ClassVar[dict[str, str]] = {"POST": "incident.change"}
    take = staticmethod(freezing.freeze)


class Lift(_Stepping):
    """End the freeze; somebody else than who froze it, signed in."""

    required_action: ClassVar[dict[str, str]] = {"POST": "incident.lift"}
    take = staticmethod(freezing.lift)


class Close(_Stepping):
    """End an incident that was never frozen."""

    required_action: ClassVar[dict[str, str]] = {"POST": "incident.change"}
    take = staticmethod(incidents.close)


class BlastRadiusView(APIView):
    """Everything that a subject reached, with the windows in which it served since a moment."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(operation_id="blast_radius", parameters=_ASKED, responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        return Response(radius_json(_radius(request)))


class BlastRadiusTable(APIView):
    """The same as CSV: a row for each thing that was reached."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(operation_id="blast_radius_csv", parameters=_ASKED, responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> StreamingHttpResponse:
        return csv_of(_radius(request))


class BlastRadiusBook(APIView):
    """The same as XLSX."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(
        operation_id="blast_radius_xlsx",
        parameters=_ASKED,
        responses={(200, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request) -> FileResponse:
        return xlsx_of(_radius(request))


def csv_of(found: BlastRadius) -> StreamingHttpResponse:
    """The table as a file that downloads."""
    headers = {"Content-Disposition": 'attachment; filename="reached.csv"'}
    pieces = sheets.csv_pieces(blast_table.COLUMNS, blast_table.rows(found))
    return StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8", headers=headers)


def xlsx_of(found: BlastRadius) -> FileResponse:
    """The table as a workbook that downloads. Raises ``BadInput`` when no sheet can hold it."""
    rows = list(blast_table.rows(found))
    sheets.must_fit(len(rows))
    target = tempfile.TemporaryFile()  # noqa: SIM115  closed with the response
    sheets.write_xlsx(target, "reached", blast_table.COLUMNS, rows)
    target.seek(0)
    return FileResponse(target, as_attachment=True, filename="reached.xlsx")


def _radius(request: Request) -> BlastRadius:
    asked = Asked(data=request.query_params.dict())
    asked.is_valid(raise_exception=True)
    return blast.radius(asked.validated_data["subject"], since=asked.validated_data.get("since"))


def incident_json(row: Incident) -> dict[str, Any]:
    """An incident without the list of what it held."""
    frozen = {"by": row.frozen_by, "at": instant(row.frozen_at), "reason": row.frozen_reason}
    ended = {"by": row.ended_by, "at": instant(row.ended_at), "reason": row.ended_reason}
    return {
        "id": row.reference,
        "title": row.title,
        "state": row.state,
        "root": row.root,
        "since": instant(row.since),
        "reason": row.reason,
        "opened": {"by": row.opened_by, "at": instant(row.opened_at)},
        "frozen": frozen if row.frozen_at else None,
        "ended": ended if row.ended_at else None,
        "links": {"html": absolute("governance:incident", row.reference)},
    }


def radius_json(found: BlastRadius) -> dict[str, Any]:
    """Everything that was reached, whole."""
    return {
        "root": found.root,
        "since": instant(found.since),
        "at": instant(found.at),
        "people": list(found.people),
        "perimeters": list(found.perimeters),
        "counts": {
            "data_sets": len(found.data_sets),
            "runs": len(found.runs),
            "versions": len(found.versions),
            "deployments": len(found.windows),
            "live": len(found.live),
            "sign_offs": len(found.signatures),
            "explanations": len(found.explanations),
            "unsaid": len(found.unsaid),
        },
        "unsaid": list(found.unsaid),
        "data_sets": [{"subject": row.subject, "path": list(path)} for row, path in found.data_sets],
        "runs": [{"subject": run, "path": list(path)} for run, path in found.runs],
        "versions": [
            {"subject": row.subject, "digest": row.digest, "path": list(path)} for row, path in found.versions
        ],
        "deployments": [_window_json(each) for each in found.windows],
        "sign_offs": [
            {
                "promotion": each.row.promotion_id,
                "version": each.version,
                "environment": each.row.promotion.environment.slug,
                "signer": each.row.signer,
                "name": each.name,
                "role": each.row.role,
                "meaning": each.row.meaning,
                "at": instant(each.row.signed_at),
            }
            for each in found.signatures
        ],
        "explanations": [
            {"id": job.pk, "version": job.version.subject, "method": job.method, "state": job.state}
            for job in found.explanations
        ],
    }


def _window_json(each: blast.Window) -> dict[str, Any]:
    row, place = each.deployment, each.deployment.environment
    return {
        "id": row.pk,
        "version": row.version.subject,
        "environment": place.slug,
        "tier": place.tier,
        "perimeter": place.perimeter,
        "regions": list(place.regions),
        "log_sinks": list(place.log_sinks),
        "countries": list(each.countries),
        "strategy": row.strategy,
        "weight": row.weight,
        "since": instant(row.since),
        "until": instant(row.until),
        "live": each.live,
        "decision": row.decision_id or None,
        "path": list(each.path),
    }
