"""Transfer safeguards: list, record, approve, revoke."""

from __future__ import annotations

from typing import ClassVar

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.exports import sheets
from governance import halting, transfer_table, transfers
from governance.api import answers
from governance.api.caller import caller, paginator
from governance.api.serializers import HaltDone, Nothing, Revocation, SafeguardApproval, SafeguardRequest
from governance.models.transfer import TransferHalt, TransferSafeguard
from governance.reliance import reliance


class Transfers(APIView):
    """Safeguards, newest first; POST proposes one, which covers nothing until a second person approves it."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read", "POST": "transfer.change"}
    ordering = "-id"

    @extend_schema(operation_id="transfers_list", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        pages = paginator()
        page = pages.paginate_queryset(TransferSafeguard.objects.all(), request, view=self) or []
        return pages.get_paginated_response([answers.safeguard_json(row) for row in page])

    @extend_schema(request=SafeguardRequest, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = SafeguardRequest(data=request.data)
        body.is_valid(raise_exception=True)
        safeguard = transfers.record(**body.validated_data, by=caller(request).actor)
        return Response(answers.safeguard_json(safeguard), status=201)


class TransferTable(APIView):
    """All safeguards as CSV."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(operation_id="transfers_csv", responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> StreamingHttpResponse:
        return csv_of()


def csv_of() -> StreamingHttpResponse:
    """Every safeguard as a file that downloads."""
    headers = {"Content-Disposition": 'attachment; filename="transfers.csv"'}
    pieces = sheets.csv_pieces(transfer_table.COLUMNS, transfer_table.rows())
    return StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8", headers=headers)


class TransferDetail(APIView):
    """One safeguard."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, reference: str) -> Response:
        return Response(answers.safeguard_json(transfers.find(reference)))


class TransferReliance(APIView):
    """The deployments that serve, are lawful and would not be without the safeguard: each is decided again without."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, reference: str) -> Response:
        found = reliance([transfers.find(reference)])
        body = {
            "safeguard": reference,
            "decided_again": found.decided,
            "would_fall": [
                {**answers.deployment_json(each.deployment), "findings": list(each.blocking)}
                for each in found.falling.get(reference, ())
            ],
        }
        return Response(body)


class TransferRevocation(APIView):
    """End a safeguard with a reason; what serves is decided again at once."""

    required_action: ClassVar[dict[str, str]] = {"POST": "transfer.change"}

    @extend_schema(request=Revocation, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = Revocation(data=request.data)
        body.is_valid(raise_exception=True)
        safeguard = transfers.revoke(reference, reason=body.validated_data["reason"], by=caller(request).actor)
        return Response(answers.safeguard_json(safeguard))


class TransferHalts(APIView):
    """Transfers to be halted because their safeguard ended while something relied on it, newest first."""

    required_action: ClassVar[dict[str, str]] = {"GET": "promotion.read"}
    ordering = "-id"

    @extend_schema(operation_id="transfer_halts_list", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        pages = paginator()
        rows = TransferHalt.objects.select_related("safeguard")
        page = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response([answers.halt_json(row) for row in page])


class TransferHaltTaking(APIView):
    """Become the owner of halting a transfer."""

    required_action: ClassVar[dict[str, str]] = {"POST": "transfer.change"}

    @extend_schema(request=Nothing, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        Nothing(data=request.data).is_valid(raise_exception=True)
        return Response(answers.halt_json(halting.take(reference, by=caller(request).actor)))


class TransferHaltDone(APIView):
    """Put on record that the transfer was halted and who was notified."""

    required_action: ClassVar[dict[str, str]] = {"POST": "transfer.change"}

    @extend_schema(request=HaltDone, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = HaltDone(data=request.data)
        body.is_valid(raise_exception=True)
        halt = halting.done(reference, **body.validated_data, by=caller(request).actor)
        return Response(answers.halt_json(halt))


class TransferApproval(APIView):
    """Approve a safeguard that somebody else recorded."""

    required_action: ClassVar[dict[str, str]] = {"POST": "transfer.change"}

    @extend_schema(request=SafeguardApproval, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: Request, reference: str) -> Response:
        body = SafeguardApproval(data=request.data)
        body.is_valid(raise_exception=True)
        safeguard = transfers.approve(reference, reason=body.validated_data["reason"], by=caller(request).actor)
        return Response(answers.safeguard_json(safeguard))
