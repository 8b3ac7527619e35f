"""``/api/v1/audit/exports``: ask for a bundle, watch it, fetch it; and the log's search as a table."""

from __future__ import annotations

import tempfile
from typing import Any

from django.conf import settings
from django.http import FileResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.api.serializers import EntryQuery
from audit.exports import jobs, tables
from audit.exports.queries import find
from audit.exports.scope import FIELDS, Scope
from audit.models import Export
from audit.searching import Filters


class ScopeSerializer(serializers.Serializer[dict[str, Any]]):
    """What to export: ``everything``, or a model, an environment and a period (``until`` excluded), conjoined."""

    everything = serializers.BooleanField(default=False)
    model = serializers.CharField(default="", allow_blank=True, max_length=200)
    environment = serializers.CharField(default="", allow_blank=True, max_length=200)
    since = serializers.DateTimeField(required=False, allow_null=True)
    until = serializers.DateTimeField(required=False, allow_null=True)
    disclose = serializers.ListField(child=serializers.ChoiceField(choices=list(FIELDS)), default=list)
    language = serializers.ChoiceField(choices=[code for code, _name in settings.LANGUAGES], default="en")
    size = serializers.IntegerField(default=0, min_value=0, max_value=2**62)
    previous = serializers.IntegerField(default=0, min_value=0, max_value=2**62)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """An unknown word would silently widen what is exported."""
        unknown = set(self.initial_data) - set(self.fields)
        if unknown:
            raise serializers.ValidationError({name: ["There is no such field."] for name in sorted(unknown)})
        return attrs

    @property
    def scope(self) -> Scope:
        """What was asked, once valid."""
        return Scope(**{**self.validated_data, "disclose": tuple(self.validated_data["disclose"])})


class ExportSerializer(serializers.ModelSerializer[Export]):
    """One export. ``sha256`` and ``length`` (bytes) are the file's; ``progress``: entries done and in all, or null."""

    state = serializers.CharField(help_text="requested, finished, failed")
    progress = serializers.SerializerMethodField()

    class Meta:
        model = Export
        fields = ["id", "state", "scope", "log_number", "size", "root", "entries", "disclosed", "length", "sha256"]
        fields += ["error", "requested_by", "requested", "ended", "progress"]

    def get_progress(self, export: Export) -> list[int] | None:
        """Entries written, and entries in all."""
        done = jobs.progress(export)
        return list(done) if done is not None else None


class Exports(GenericAPIView[Export]):
    """All exports, newest first, and the way to ask for one."""

    required_action = {"GET": "audit.read", "POST": "audit.export"}
    serializer_class = ExportSerializer
    queryset = Export.objects.all()

    @extend_schema(operation_id="exports_list", responses=ExportSerializer(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(ExportSerializer(page, many=True).data)

    @extend_schema(operation_id="exports_request", request=ScopeSerializer, responses={201: ExportSerializer})
    def post(self, request: Request) -> Response:
        asked = ScopeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user: Any = request.user
        made = jobs.request(asked.scope, by=user.actor)
        answer = Response(ExportSerializer(made).data, status=201)
        answer["Location"] = f"/api/v1/audit/exports/{made.pk}"
        return answer


class OneExport(APIView):
    """One export with its progress."""

    required_action = {"GET": "audit.read"}

    @extend_schema(operation_id="exports_read", responses=ExportSerializer)
    def get(self, request: Request, number: int) -> Response:
        return Response(ExportSerializer(find(number).export).data)


class ExportFile(APIView):
    """The file of a finished export."""

    required_action = {"GET": "audit.export"}

    @extend_schema(operation_id="exports_file", responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, number: int) -> FileResponse:
        export = find(number).export
        return FileResponse(
            jobs.opened(export), as_attachment=True, filename=f"export-{export.pk}.zip", content_type="application/zip"
        )


class EntryTable(APIView):
    """Every entry that the filters find, as CSV: as many rows as ``count`` of the list says."""

    required_action = {"GET": "audit.read"}

    @extend_schema(
        parameters=[EntryQuery], operation_id="log_entries_csv", responses={(200, "text/csv"): OpenApiTypes.STR}
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        headers = {"Content-Disposition": 'attachment; filename="log.csv"'}
        pieces = tables.csv_pieces(_filters(request))
        return StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8", headers=headers)


class EntryBook(APIView):
    """The same as XLSX."""

    required_action = {"GET": "audit.read"}

    @extend_schema(
        parameters=[EntryQuery],
        operation_id="log_entries_xlsx",
        responses={(200, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request) -> FileResponse:
        target = tempfile.TemporaryFile()  # noqa: SIM115  closed with the response
        tables.write_xlsx(target, _filters(request))
        target.seek(0)
        return FileResponse(target, as_attachment=True, filename="log.xlsx")


def _filters(request: Request) -> Filters:
    query = EntryQuery(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    return query.filters
