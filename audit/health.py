"""Whether the log keeps up: for ``/readyz``, ``/metrics`` and the Verify page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.log import log_id

#: Seconds after which an entry without a signed checkpoint means that the sequencer or the signer stands still.
LATE_AFTER = 60

# What waits in a log that is being closed counts too; what a given-up log never sealed went to its successor.
_HEAD = """
    WITH live AS (
        SELECT l.log_id, newest.size, coalesce(newest.watermark, '0'::xid8) AS watermark
        FROM (SELECT log_id FROM audit.log UNION SELECT 1) l
        LEFT JOIN LATERAL (SELECT c.size, c.watermark FROM audit.checkpoint c WHERE c.log_id = l.log_id
                           ORDER BY c.size DESC LIMIT 1) newest ON true
        WHERE NOT EXISTS (SELECT FROM audit.log_state s WHERE s.log_id = l.log_id AND s.kind IN ('lost', 'detached'))
    ), pending AS (
        SELECT count(*) AS entries, min(e.created_at) AS oldest FROM live
        JOIN audit.entry e ON e.log_id = live.log_id AND e.txid >= live.watermark
        WHERE NOT EXISTS (SELECT FROM audit.leaf l WHERE l.log_id = e.log_id AND l.entry_id = e.id)
    ), unsealed AS (
        SELECT min(v.recorded_at) AS oldest FROM live
        JOIN audit.event v ON v.log_id = live.log_id AND v.leaf_index >= coalesce(live.size, 0)
    )
    SELECT (SELECT coalesce(max(leaf_index) + 1, 0) FROM audit.leaf WHERE log_id = %(log)s),
           (SELECT max(size) FROM audit.checkpoint WHERE log_id = %(log)s),
           (SELECT created_at FROM audit.checkpoint WHERE log_id = %(log)s ORDER BY size DESC LIMIT 1),
           (SELECT extract(epoch FROM clock_timestamp() - created_at)::float8
            FROM audit.checkpoint WHERE log_id = %(log)s ORDER BY size DESC LIMIT 1),
           pending.entries,
           extract(epoch FROM clock_timestamp() - least(pending.oldest, unsealed.oldest))::float8
    FROM pending, unsealed
"""


@dataclass(frozen=True, slots=True)
class LogHead:
    """Ages are in seconds; ``pending`` entries are committed but have no index yet.

    ``ok`` is False while an entry waits for longer than ``LATE_AFTER`` to be under a signed checkpoint, and before the
    first checkpoint.
    """

    ok: bool
    sentence: str
    size: int
    signed_size: int
    signed_at: datetime | None
    checkpoint_age: float | None
    pending: int
    oldest_pending_age: float | None


def log_head() -> LogHead:
    """The head of the log, its newest checkpoint and what waits. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_HEAD, {"log": log_id()})
        size, signed, signed_at, age, pending, waiting = cursor.fetchone()
    ok, sentence = _judge(signed, pending, waiting)
    return LogHead(ok, sentence, size, signed or 0, signed_at, age, pending, waiting)


def _judge(signed: int | None, pending: int, waiting: float | None) -> tuple[bool, str]:
    if signed is None:
        return False, _("The log has no signed checkpoint yet: are the sequencer and the signer running?")
    if waiting is not None and waiting > LATE_AFTER:
        return False, _(
            "An entry waits for its checkpoint since %(seconds)d seconds: are the sequencer and the signer running?"
        ) % {"seconds": waiting}
    if pending:
        return True, ngettext(
            "%(signed)s entries are under a signed checkpoint, %(n)d is being sequenced.",
            "%(signed)s entries are under a signed checkpoint, %(n)d are being sequenced.",
            pending,
        ) % {"signed": f"{signed:,}", "n": pending}
    return True, _("%(signed)s entries are under a signed checkpoint.") % {"signed": f"{signed:,}"}
