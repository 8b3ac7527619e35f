"""Orders to decide again what serves, given when something ended that may have made it lawful."""

from __future__ import annotations

import logging

from celery import current_app
from kombu.exceptions import KombuError

#: The tasks that decide again (``governance.rechecks``): what safeguards and waivers that ended let serve, everything.
FOLLOW_UP = "governance.follow_up_safeguards"
EVERYTHING = "governance.recheck_what_serves"
logger = logging.getLogger(__name__)


def order(task: str = FOLLOW_UP) -> None:
    """Let a worker decide again what serves. When the broker is away the clock does it, a little later."""
    try:
        current_app.send_task(task, expires=600, retry=False)
    except (KombuError, OSError) as error:
        logger.warning("the broker does not take the order %s, the clock will give it: %s", task, error)
