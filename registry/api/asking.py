"""What every view of the registry's API needs: who asks, and pages of rows."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from audit.actors import Actor
from audit.refusals import BadInput
from registry.lists import ListFilter

AS_OF = OpenApiParameter("as_of", OpenApiTypes.DATETIME, description="A moment, RFC 3339 with its zone; default now.")


def actor_of(request: Request) -> Actor:
    """The person or service account behind an authenticated request."""
    return cast(Actor, cast(Any, request.user).actor)


def searched(request: Request, form: type[ListFilter], *also: str) -> QuerySet[Any]:
    """The rows that the query asks for. Raises ``BadInput`` for a filter that is not known, or cannot be understood:
    a misspelt one would answer everything."""
    known = {*form.base_fields, *also, "limit", "cursor"}
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        sentence = _("“%(name)s” is no filter of this list; it has: %(known)s.") % {
            "name": unknown[0][:60],
            "known": ", ".join(sorted(known)),
        }
        raise BadInput(sentence, code="filter.unknown", fields={unknown[0][:60]: sentence})
    asked = form(request.query_params)
    asked.require()
    return asked.rows()


def filters_of(form: type[ListFilter]) -> list[OpenApiParameter]:
    """The filters of a list for the API's description."""
    return [
        OpenApiParameter(name, OpenApiTypes.DATE if isinstance(field, forms.DateField) else str, enum=_words(field))
        for name, field in form.base_fields.items()
    ]


def _words(field: forms.Field) -> list[str] | None:
    """What a filter may say, when that is a fixed choice."""
    choices: Any = field.choices if isinstance(field, forms.ChoiceField) else ()
    return [str(value) for value, _label in choices if value] or None


def page_of(view: APIView, request: Request, rows: QuerySet[Any], shape: type[BaseSerializer[Any]]) -> Response:
    """One page of ``rows`` in the order that the view names (``ordering``)."""
    pages = cast(CursorPagination, cast(Any, api_settings.DEFAULT_PAGINATION_CLASS)())
    page: list[Model] = pages.paginate_queryset(rows, request, view=view) or []
    return pages.get_paginated_response(shape(page, many=True).data)
