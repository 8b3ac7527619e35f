"""Who asks for a page."""

from __future__ import annotations

from django.http import HttpRequest

from governance.models.user import User


def signed_in(request: HttpRequest, action: str = "") -> User:
    """The person who is signed in; ``LoginRequiredMiddleware`` saw to it that there is one. Raises ``NotPermitted``
    unless they may do ``action``.
    """
    user = request.user
    assert isinstance(user, User)  # noqa: S101
    if action:
        user.require(action)
    return user
