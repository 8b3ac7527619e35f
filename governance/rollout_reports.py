"""What a rollout controller reports of its own: kept in the log, deciding nothing."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from registry.models import Environment, ModelVersion


def record(
    version: ModelVersion, environment: Environment, *, facts: Mapping[str, str], message: str, by: Actor
) -> None:
    """An entry about ``version``. The message is free text of another program, so it is kept where it can be erased."""
    with transaction.atomic():
        log.append(
            Event.ROLLOUT_REPORTED,
            version,
            facts={**facts, "environment": environment.subject},
            private={"message": message} if message.strip() else {},
            by=by,
        )
