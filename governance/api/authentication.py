"""Who calls the API (token or session) and whether the view's declared action is theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework import authentication, exceptions, permissions
from rest_framework.request import Request

from audit.refusals import NotPermitted
from governance import tokens
from governance.models.roles import Action
from governance.models.user import User

if TYPE_CHECKING:  # rest_framework.views loads this module while it is itself being loaded
    from rest_framework.views import APIView

SCHEME = "Bearer"


def token_user(request: HttpRequest) -> User | None:
    """The owner of the request's Bearer token; None when no such header was sent. One look-up per request.

    Raises tokens.TokenRefused for a header that cannot be read or a token that proves nothing.
    """
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if not header:
        return None
    known: User | None = getattr(request, "_token_user", None)
    if known is not None:
        return known
    scheme, _space, secret = header.partition(" ")
    if scheme.lower() != SCHEME.lower():
        raise tokens.TokenRefused(
            _("Send the token as «Authorization: Bearer csn_…»; no other scheme is understood."), code="token.scheme"
        )
    user = tokens.authenticate(secret.strip())
    request._token_user = user  # type: ignore[attr-defined]
    return user


class TokenAuthentication(authentication.BaseAuthentication):
    """``Authorization: Bearer csn_…``."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        try:
            user = token_user(request._request)
        except tokens.TokenRefused as refused:
            raise exceptions.AuthenticationFailed(refused.sentence, code=refused.code) from refused
        return None if user is None else (user, None)

    def authenticate_header(self, request: Request) -> str:
        return f'{SCHEME} realm="countersign"'


class SessionAuthentication(authentication.SessionAuthentication):
    """The browser's session; every method that changes something needs the CSRF token."""


class ActionPermission(permissions.BasePermission):
    """Reads ``required_action = {"GET": "registry.read", "POST": "registry.change"}`` from the view.

    HEAD and OPTIONS need what GET needs. A view or method that declares nothing is closed to everybody;
    a method that the view does not have is 405.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Raises NotAuthenticated (401), NotPermitted (403) or MethodNotAllowed (405); never returns False."""
        if not isinstance(request.user, User):
            raise exceptions.NotAuthenticated(_("Sign in, or send a token as «Authorization: Bearer csn_…»."))
        action = self.declared(request.method or "", view)
        if action is None and not self.implemented(request, view):
            raise exceptions.MethodNotAllowed(request.method or "")
        if action not in Action.__members__.values():
            raise NotPermitted(
                _("This endpoint does not declare which right it needs, so it is closed."), code="access.undeclared"
            )
        request.user.require(str(action))
        return True

    @staticmethod
    def implemented(request: Request, view: APIView) -> bool:
        """Whether ``view`` has anything that answers this method. What it has and does not declare stays closed."""
        return hasattr(view, (request.method or "").lower())

    @staticmethod
    def declared(method: str, view: APIView) -> Any:
        """The action that ``view`` declares for ``method``, or None."""
        actions = getattr(view, "required_action", None)
        if not isinstance(actions, dict):
            return None
        if method in {"HEAD", "OPTIONS"}:
            return actions.get(method) or actions.get("GET") or next(iter(actions.values()), None)
        return actions.get(method)
