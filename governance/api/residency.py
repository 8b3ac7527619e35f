"""Where the data of what serves lie, and whether that is covered."""

from __future__ import annotations

from typing import ClassVar

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.exports import sheets
from governance import residency_table
from governance.residency import STATES, Residency, residency


class ResidencyMap(APIView):
    """Every flow of what serves now, the worst first. All in one answer: a part would hide the rest."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(operation_id="residency", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        found = residency()
        body = {
            "decided_again": found.decided,
            "counts": {state: len(found.of(state)) for state in STATES},
            "undecided": [
                {"deployment": row.subject, "version": row.version.subject, "why": sentence}
                for row, sentence in found.undecided
            ],
            "results": [residency_table.as_json(flow) for flow in found.flows],
        }
        return Response(body)


class ResidencyTable(APIView):
    """The same as CSV: a row for each flow."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(operation_id="residency_csv", responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> StreamingHttpResponse:
        return csv_of(residency())


def csv_of(found: Residency) -> StreamingHttpResponse:
    """The table as a file that downloads."""
    headers = {"Content-Disposition": 'attachment; filename="residency.csv"'}
    pieces = sheets.csv_pieces(residency_table.COLUMNS, residency_table.rows(found))
    return StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8", headers=headers)
