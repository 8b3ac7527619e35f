"""Erasing a person's private values from every log, and then the key that opens their copies.

The log keeps its bytes: an entry holds commitments, and a commitment says nothing without its salt. What was taken away
and by which entry stays in ``audit.erased``. Two databases take part, so the order matters: the values go in one
transaction with the entry ``subject.erased``; only when that is committed is the key destroyed. Whatever stops in
between is finished by ``finish``, and by the next writer who meets the dead key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from audit import log, subject_keys
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict, Refusal

#: How long an erasure waits for transactions that are writing about the subject right now.
PATIENCE = "20s"

_ROWS = """
    SELECT p.log_id, p.event_id, p.field, p.key_id, p.subject = %s FROM audit.payload p
    WHERE (p.subject = %s OR (p.event_id, p.field) IN (
               SELECT e, f FROM ROWS FROM (unnest(%s::uuid[]), unnest(%s::text[])) AS named (e, f)))
    AND NOT EXISTS (SELECT FROM audit.erased r
                    WHERE (r.log_id, r.event_id, r.field) = (p.log_id, p.event_id, p.field))
"""
_DONE = """
    SELECT k.erasure_id, v.leaf_index, (SELECT count(*) FROM audit.erased r WHERE r.erasure_id = k.erasure_id)
    FROM audit.erased_key k
    LEFT JOIN audit.event v ON v.event_id = k.erasure_id AND v.log_id IN (SELECT log_id FROM audit.log)
    WHERE k.subject = %s ORDER BY k.erasure_id DESC LIMIT 1
"""


class EraserUnavailable(Refusal):
    """The connection that may erase cannot be used: nothing was erased."""

    status = 503


@dataclass(frozen=True, slots=True)
class Erasure:
    """What one erasure did. ``index`` is the number of its entry, None until it is sequenced.

    ``key_destroyed`` is False when the values are gone but the keys' database did not answer; ``finish`` does the rest.
    """

    subject: str
    event_id: UUID
    values: int
    index: int | None = None
    key_destroyed: bool = True


def erase(
    subject: str, *, also: Sequence[tuple[UUID, str]] = (), order: str = "", reason: str = "", by: Actor
) -> Erasure:
    """Take away every private value of ``subject``, in all logs, and then its key; both are for good.

    ``also`` names values of others that hold the subject's name: (event id, field). ``order`` is the event id of the
    decision that is carried out. Raises ``BadInput`` (not a person's subject, or one's own), ``Conflict`` (somebody is
    writing about the subject for too long), ``EraserUnavailable``, ``KeysUnavailable``: then nothing was erased.
    """
    if subject.partition(":")[0] not in ("user", "service") or not subject.partition(":")[2]:
        raise BadInput(
            _("«%s» is not a person: write user:<uuid> as the account's page shows it.") % subject[:80],
            code="erasure.subject",
        )
    if by.id == subject:
        raise BadInput(_("Nobody erases what was recorded about themselves."), code="erasure.own")
    key = subject_keys.renewed(subject).key_id  # made where there is none: its end marks the erasure as done
    try:
        with psycopg.connect(_url(), connect_timeout=5, application_name="eraser") as own:
            erasure, keys = _erase(own, subject, key, also, order, reason, by)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.SerializationFailure) as error:
        raise Conflict(
            _("Something about %s is being written right now; nothing was erased. Repeat it.") % subject,
            code="erasure.busy",
        ) from error
    except psycopg.OperationalError as error:
        raise EraserUnavailable(
            _("The database does not let the eraser in; nothing was erased. Check ERASER_DATABASE_URL."),
            code="erasure.unavailable",
        ) from error
    try:
        subject_keys.destroy(keys)
    except subject_keys.KeysUnavailable:
        return Erasure(subject, erasure.event_id, erasure.values, key_destroyed=False)
    return erasure


def newest(subject: str) -> Erasure | None:
    """The last erasure of ``subject``, or None. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_DONE, [subject])
        row = cursor.fetchone()
    return Erasure(subject, row[0], row[2], row[1]) if row else None


def unfinished(subjects: Sequence[str]) -> list[str]:
    """Those of ``subjects`` that nothing was ever erased of. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT subject FROM unnest(%s::text[]) AS subject"
            " WHERE NOT EXISTS (SELECT FROM audit.erased_key k WHERE k.subject = subject.subject)",
            [list(subjects)],
        )
        return [subject for (subject,) in cursor.fetchall()]


def finish() -> int:
    """Destroy every key whose erasure is committed; returns how many still existed. Safe to repeat.

    Also after an older copy of the keys' database was restored. Raises ``KeysUnavailable``.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT key_id FROM audit.erased_key")
        keys = [key for (key,) in cursor.fetchall()]
    return subject_keys.destroy(keys) if keys else 0


def digest(values: Sequence[tuple[int, UUID, str]]) -> str:
    """What the entry says of the values that it takes away: SHA-256 over ``<log> <event id> <field>`` lines, sorted."""
    ordered = sorted(values, key=lambda value: (value[0], value[1].bytes, value[2].encode()))
    lines = "\n".join(f"{number} {event_id} {field}" for number, event_id, field in ordered)
    return hashlib.sha256(lines.encode()).hexdigest()


def _erase(
    own: psycopg.Connection[tuple[Any, ...]],
    subject: str,
    key: UUID,
    also: Sequence[tuple[UUID, str]],
    order: str,
    reason: str,
    by: Actor,
) -> tuple[Erasure, list[UUID]]:
    """One transaction: wait for writers, list what goes, say so in an entry, and let the database take it away."""
    events, fields = [event_id for event_id, _field in also], [field for _event, field in also]
    with own.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [subject])
        rows = cursor.execute(_ROWS, [subject, subject, events, fields]).fetchall()
        keys = sorted({key, *(row[3] for row in rows if row[4])})
        gone = [(number, event_id, field) for number, event_id, field, _key, _own in rows]
        facts = {"values": len(gone), "digest": digest(gone), "keys": [str(each) for each in keys], "order": order}
        event_id = log.new_event_id()
        values = log.values_of(subject="log:erasure", private={}, reason=reason, by=by)
        data = log.entry_bytes(
            event_id,
            Event.SUBJECT_ERASED,
            subject,
            subject,
            facts=facts,
            commitments={value.field: value.commitment for value in values},
            by=by,
        )
        log.insert(cursor, event_id, subject, data, values)
        cursor.execute("SELECT log_id FROM audit.entry WHERE txid = pg_current_xact_id() AND event_id = %s", [event_id])
        (number,) = cursor.fetchone() or (log.log_id(),)
        cursor.execute(
            "SELECT audit.erase_subject(%s, %s, %s, %s::uuid[], %s::uuid[], %s::text[])",
            [number, subject, event_id, keys, events, fields],
        )
    return Erasure(subject, event_id, len(gone)), keys


def _url() -> str:
    if not settings.ERASER_DATABASE_URL:
        raise EraserUnavailable(
            _("ERASER_DATABASE_URL is not set: this process may not erase; nothing was erased."),
            code="erasure.not_set",
        )
    return str(settings.ERASER_DATABASE_URL)
