"""Who may see and do what on these pages."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from audit.actors import Actor


def may(request: HttpRequest, action: str) -> Actor:
    """The signed-in actor. Raises ``NotPermitted`` when the rule table does not give them ``action``."""
    user: Any = request.user
    user.require(action)
    actor: Actor = user.actor
    return actor
