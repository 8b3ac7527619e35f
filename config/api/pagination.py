"""Cursor pagination: pages stay stable while new rows arrive."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request


class Cursor(CursorPagination):
    """``{"next", "previous", "results"}``; ``?limit=`` 1 to 200. Newest first unless the view sets ``ordering``."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"
    ordering = "-id"
    invalid_cursor_message = gettext_lazy(  # type: ignore[assignment]
        "The cursor is not one of this list's; begin again without it."
    )

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        ordering = getattr(view, "ordering", None) or self.ordering
        return (ordering,) if isinstance(ordering, str) else tuple(ordering)

    def get_page_size(self, request: Request) -> int:
        """Raises ValidationError for a limit that is not a whole number from 1 to 200."""
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= self.max_page_size):
            sentence = _("The limit is a whole number from 1 to %d.") % self.max_page_size
            raise ValidationError({self.page_size_query_param: [sentence]})
        return int(text)
