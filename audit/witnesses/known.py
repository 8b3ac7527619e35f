"""The newest witnessed checkpoint that this process knows: the field ``after`` of an entry.

An entry that names it cannot have been written before that checkpoint was cosigned: its lower bound in time, as the
next cosignature is the upper one.
"""

from __future__ import annotations

import threading
import time

from django.conf import settings
from django.db import connection

from audit import current_log
from audit.witnesses import queries

#: Seconds for which the answer is kept: an append asks the database at most this often, and never without a policy.
KEPT = 10.0

_lock = threading.Lock()
_kept: dict[tuple[str, str, int], tuple[float, dict[str, int | str] | None]] = {}


def after() -> dict[str, int | str] | None:
    """``{"size": n, "root": base64}`` of the newest witnessed checkpoint; None while none is known."""
    if not settings.WITNESS_POLICY:
        return None
    now, log_id = time.monotonic(), current_log.number()
    key = (settings.WITNESS_POLICY, str(connection.settings_dict["NAME"]), log_id)
    with _lock:
        kept = _kept.get(key)
        if kept is not None and now - kept[0] < KEPT:
            return kept[1]
        # claimed before the question: others go on with the old answer instead of asking too
        _kept[key] = (now, kept[1] if kept else None)
    newest = queries.newest_witnessed(log_id)
    made: dict[str, int | str] | None = {"size": newest.size, "root": newest.root_base64} if newest else None
    with _lock:
        _kept[key] = (now, made)
    return made


def forget() -> None:
    """Ask again at the next append."""
    with _lock:
        _kept.clear()
