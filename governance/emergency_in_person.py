"""Declaring, confirming and reviewing an emergency at the keyboard: with the password again, and a second factor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.http import HttpRequest

from governance import emergency, emergency_review, sessions
from governance.models.emergency import Emergency
from governance.models.roles import Action
from governance.models.user import User
from registry.models import Environment, ModelVersion


def declare_with_password(
    version: ModelVersion,
    environment: Environment,
    *,
    incident: str,
    reason: str,
    hours: int,
    password: str,
    code: str = "",
    assertion: str = "",
    user: User,
    request: HttpRequest,
) -> Emergency:
    """``emergency.declare``."""

    def declared(proven_at: datetime | None) -> Emergency:
        return emergency.declare(
            *(version, environment),
            incident=incident,
            reason=reason,
            hours=hours,
            reauthenticated_at=proven_at,
            by=user.actor,
        )

    return _proved(declared, Action.EMERGENCY_DECLARE, password, code, assertion, user, request)


def confirm_with_password(
    reference: str, *, password: str, code: str = "", assertion: str = "", user: User, request: HttpRequest
) -> Emergency:
    """``emergency.confirm``."""

    def confirmed(proven_at: datetime | None) -> Emergency:
        return emergency.confirm(reference, reauthenticated_at=proven_at, by=user.actor)

    return _proved(confirmed, Action.EMERGENCY_DECLARE, password, code, assertion, user, request)


def review_with_password(
    reference: str,
    *,
    ratified: bool,
    reason: str,
    password: str,
    code: str = "",
    assertion: str = "",
    user: User,
    request: HttpRequest,
) -> Emergency:
    """``emergency_review.review``."""

    def reviewed(proven_at: datetime | None) -> Emergency:
        return emergency_review.review(
            reference, ratified=ratified, reason=reason, reauthenticated_at=proven_at, by=user.actor
        )

    return _proved(reviewed, Action.EMERGENCY_REVIEW, password, code, assertion, user, request)


def _proved(
    act: Callable[[datetime | None], Emergency],
    action: Action,
    password: str,
    code: str,
    assertion: str,
    user: User,
    request: HttpRequest,
) -> Emergency:
    return sessions.with_password(
        act,
        action=action,
        unproven="emergency.not_reauthenticated",
        password=password,
        code=code,
        assertion=assertion,
        user=user,
        request=request,
    )
