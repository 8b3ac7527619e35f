"""Declaring, confirming and reviewing an emergency at the keyboard: with the password again, and a second factor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Unpack

from governance import emergency, emergency_review, sessions
from governance.at_keyboard import AtKeyboard
from governance.models.emergency import Emergency
from governance.models.roles import Action
from registry.models import Environment, ModelVersion


def declare_with_password(
    version: ModelVersion,
    environment: Environment,
    *,
    incident: str,
    reason: str,
    hours: int,
    **person: Unpack[AtKeyboard],
) -> Emergency:
    """``emergency.declare``."""

    def declared(proven_at: datetime | None) -> Emergency:
        return emergency.declare(
            *(version, environment),
            incident=incident,
            reason=reason,
            hours=hours,
            reauthenticated_at=proven_at,
            by=person["user"].actor,
        )

    return _proved(declared, Action.EMERGENCY_DECLARE, person)


def confirm_with_password(reference: str, **person: Unpack[AtKeyboard]) -> Emergency:
    """``emergency.confirm``."""

    def confirmed(proven_at: datetime | None) -> Emergency:
        return emergency.confirm(reference, reauthenticated_at=proven_at, by=person["user"].actor)

    return _proved(confirmed, Action.EMERGENCY_DECLARE, person)


def review_with_password(reference: str, *, ratified: bool, reason: str, **person: Unpack[AtKeyboard]) -> Emergency:
    """``emergency_review.review``."""

    def reviewed(proven_at: datetime | None) -> Emergency:
        return emergency_review.review(
            reference, ratified=ratified, reason=reason, reauthenticated_at=proven_at, by=person["user"].actor
        )

    return _proved(reviewed, Action.EMERGENCY_REVIEW, person)


def _proved(act: Callable[[datetime | None], Emergency], action: Action, person: AtKeyboard) -> Emergency:
    return sessions.with_password(act, action=action, unproven="emergency.not_reauthenticated", **person)
