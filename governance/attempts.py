"""Attempts that are refused leave an entry too: who tried what, and which rule stopped it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Refusal


@contextmanager
def attempt(event: Event, subject: str, *, facts: Mapping[str, Any] | None = None, by: Actor) -> Iterator[None]:
    """Run the block in a transaction; a refusal rolls it back, is recorded in a transaction of its own, and raised.

    Malformed input is no attempt: ``BadInput`` passes without an entry.
    """
    try:
        with transaction.atomic():
            yield
    except BadInput:
        raise
    except Refusal as refusal:
        with transaction.atomic():
            log.append(event, subject, facts={**(facts or {}), "rule": refusal.code}, reason=refusal.sentence, by=by)
        raise
