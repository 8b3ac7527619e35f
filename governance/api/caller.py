"""What views share: who calls, and the pages of a list."""

from __future__ import annotations

from rest_framework.exceptions import NotAuthenticated
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.settings import api_settings

from governance.models.user import User


def caller(request: Request) -> User:
    """The account behind the token or session."""
    if not isinstance(request.user, User):
        raise NotAuthenticated
    return request.user


def paginator() -> BasePagination:
    """The project's pagination; it is a setting, so nothing above governance is imported."""
    chosen = api_settings.DEFAULT_PAGINATION_CLASS
    if chosen is None:
        raise RuntimeError("the setting REST_FRAMEWORK names no pagination class")
    pages: BasePagination = chosen()  # type: ignore[operator]
    return pages
