"""The log for programs: pages of entries, and one entry with its proof."""

from __future__ import annotations

from urllib.parse import urlencode

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit import entries, queries
from audit.api.serializers import (
    EntryDetailSerializer,
    EntryPageSerializer,
    EntryQuery,
    EntrySerializer,
    detail_document,
)
from audit.refusals import NotKnown


class EntryList(APIView):
    """Search the log, newest first. Pages go by index, so entries that arrive meanwhile neither shift nor repeat."""

    required_action = {"GET": "audit.read"}

    @extend_schema(parameters=[EntryQuery], responses=EntryPageSerializer, operation_id="log_entries_list")
    def get(self, request: Request) -> Response:
        """Raises ValidationError for a filter that is unknown or malformed."""
        query = EntryQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        values = query.validated_data
        search = queries.searching(query.filters)
        page = queries.page_of(search, before=values.get("before"), after=values.get("after"), limit=values["limit"])
        counted = search.count(exact=values.get("count") == "exact")
        document = {
            "count": counted.entries,
            "count_exact": counted.exact,
            "searched_to": page.searched_to,
            "next": _page(request, "before", page.older),
            "previous": _page(request, "after", page.newer),
            "results": [EntrySerializer(row).data for row in page.rows],
        }
        return Response(document)


class EntryView(APIView):
    """One entry with its canonical bytes, its inclusion proof and the signed checkpoint."""

    required_action = {"GET": "audit.read"}

    @extend_schema(responses=EntryDetailSerializer, operation_id="log_entries_retrieve")
    def get(self, request: Request, index: int) -> Response:
        """Raises NotKnown for an index that the log does not have yet."""
        detail = entries.detail(index) if index < 2**62 else None
        if detail is None:
            raise NotKnown(_("The log has no entry #%(index)d.") % {"index": index}, code="log.no_entry")
        return Response(detail_document(detail))


def _page(request: Request, name: str, index: int | None) -> str | None:
    if index is None:
        return None
    chosen = {key: value for key, value in request.query_params.items() if key not in ("before", "after")}
    return request.build_absolute_uri(f"{request.path}?{urlencode({**chosen, name: index})}")
