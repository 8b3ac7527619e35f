"""One page of a long list, for this app's pages and those above it."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest
from django.utils.translation import gettext as _

from audit.refusals import BadInput


def page_of(rows: Any, request: HttpRequest, per_page: int = 50) -> Page[Any]:
    """The page of ``rows`` (a query set or list) that ``?page=`` asks for, the first when it asks for none.

    Raises BadInput for what is no whole number from 1, and for a page after the last: showing another one instead
    would answer a question that nobody asked.
    """
    pages = Paginator(rows, per_page)
    asked = request.GET.get("page", "") or "1"
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10 and int(asked) > 0):
        raise BadInput(
            _("There is no page “%(page)s”: pages are numbered from 1.") % {"page": asked[:40]}, code="page.number"
        )
    if int(asked) > pages.num_pages:
        raise BadInput(
            _("There is no page %(page)s; the last one is %(last)s.") % {"page": asked, "last": pages.num_pages},
            code="page.number",
        )
    return pages.page(int(asked))
