"""A list as a page, and the same list as a table to take away: the same filters, the same rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.paginator import Page
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from audit.exports import sheets
from registry.lists import LISTS, ListFilter
from registry.models import Environment
from registry.pages.access import readable
from registry.pages.paging import page_of

PER_PAGE = 50
#: Environments that a filter offers to choose from; any other may be written into the address.
MOST_OFFERED = 200


def listed(
    request: HttpRequest, form: ListFilter, template: str, more: Callable[[list[Any]], dict[str, Any]] | None = None
) -> HttpResponse:
    """One page of what the filters find; 400 with the form when they cannot be understood. ``more`` adds to the rows
    of the page and to its context. Raises ``BadInput`` for a page that does not exist.
    """
    page = searched(request, form)
    if page is None:
        return render(request, template, {"form": form, "page": None}, status=400)
    context = {"form": form, "page": page, "filtered": bool(form.chosen), "address": form.address}
    return render(request, template, context | (more(list(page.object_list)) if more else {}))


def searched(request: HttpRequest, form: ListFilter) -> Page[Any] | None:
    """One page of what the filters find, its rows read; None when they cannot be understood. Raises ``BadInput`` for a
    page that does not exist.
    """
    offer_environments(form)
    if not form.is_valid():
        return None
    page = page_of(_Counted(form), request, PER_PAGE)
    page.object_list = [*page.object_list]
    return page


class _Counted:
    """Rows to be cut into pages, counted without what only a page needs."""

    def __init__(self, form: ListFilter) -> None:
        self._rows, self._found, self.ordered = form.rows(), form.found(), True

    def count(self) -> int:
        """How many match."""
        return self._found.count()

    def __len__(self) -> int:
        return self.count()

    def __getitem__(self, part: slice) -> Any:
        return self._rows[part]


def offer_environments(form: ListFilter) -> None:
    """Offer the environments that exist; what was asked for stays visible. One query."""
    if "environment" not in form.fields:
        return
    asked = str(form.data.get("environment", ""))
    slugs = list(Environment.objects.order_by("slug").values_list("slug", flat=True)[:MOST_OFFERED])
    extra = [asked] if asked and asked not in slugs else []
    form.fields["environment"].widget = forms.Select(
        choices=[("", _("any")), *((slug, slug) for slug in [*slugs, *extra])]
    )


@never_cache
@readable
def table(request: HttpRequest, name: str, kind: str) -> HttpResponseBase:
    """Every row of a list's search as CSV or XLSX. Raises ``BadInput`` for filters that cannot be understood."""
    form = LISTS[name](request.GET)
    form.require()
    if kind == "csv":
        pieces = sheets.csv_pieces(form.columns, form.table())
        response: HttpResponseBase = StreamingHttpResponse(pieces, content_type="text/csv; charset=utf-8")
    else:
        sheets.must_fit(form.found().count())
        target = tempfile.TemporaryFile()  # noqa: SIM115  closed with the response
        sheets.write_xlsx(target, name, form.columns, form.table())
        target.seek(0)
        response = FileResponse(target, as_attachment=True, filename=f"{name}.xlsx")
    response["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    return response
