"""The only door for writing to the log.

An entry is inserted without an index in the transaction of the business change: both commit or neither. The sequencer
gives it its place in the tree afterwards, so writers never wait for one another.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from audit import context, current_log, payloads, subject_keys
from audit.actors import Actor
from audit.merkle import canonical
from audit.models.events import Event
from audit.models.governed import Governed
from audit.payloads import Value
from audit.refusals import BadInput, Conflict
from audit.witnesses import known

#: Version of the shape of an entry.
SHAPE = 1
MAX_SUBJECT = 300

# The newest log is chosen inside the statement; a log is closed once every statement that chose it has ended.
_NEWEST = "(SELECT coalesce(max(log_id), 1) FROM audit.log)"
_INSERT_ENTRY = f"INSERT INTO audit.entry (log_id, event_id, object_key, entry) VALUES ({_NEWEST}, %s, %s, %s)"  # noqa: S608
# All or nothing: where a key was erased meanwhile, no row is inserted, and the values are sealed again.
_INSERT_WITH_PAYLOAD = f"""
    WITH held AS MATERIALIZED (SELECT audit.hold_keys(%s::text[], %s::uuid[]) AS good),
    recorded AS (
        INSERT INTO audit.entry (log_id, event_id, object_key, entry) SELECT {_NEWEST}, %s, %s, %s FROM held WHERE good
        RETURNING log_id, event_id)
    INSERT INTO audit.payload (log_id, event_id, field, subject, salt, key_id, body)
    SELECT recorded.log_id, recorded.event_id, p.field, p.subject, p.salt, p.key_id, p.body
    FROM recorded, unnest(%s::text[], %s::text[], %s::bytea[], %s::uuid[], %s::bytea[])
        AS p (field, subject, salt, key_id, body)
"""  # noqa: S608  constants only
#: How often values are sealed again because their subject is being erased at this very moment.
_TRIES = 3


class Cursor(Protocol):
    """What an entry is written through: Django's cursor, or that of the connection that may erase."""

    @property
    def rowcount(self) -> int: ...

    def execute(self, sql: Any, params: Any = ..., /) -> Any: ...

    def fetchall(self) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the writer gets: the entry's index is known only once it is sequenced."""

    event_id: UUID
    object_key: str


def log_id() -> int:
    """The number of the newest log, for readers; at most a second old."""
    return current_log.number()


def append(
    event: Event,
    subject: Governed | str,
    *,
    facts: Mapping[str, Any] | None = None,
    private: Mapping[str, str] | None = None,
    reason: str = "",
    by: Actor,
) -> Receipt:
    """Record that ``by`` did ``event`` to ``subject``, in the caller's transaction.

    ``facts`` are public and stay for ever: JSON without floating-point numbers and without personal data. ``private``
    values, the ``reason`` and the actor's name go into the erasable table; the entry keeps salted commitments to them
    (GDPR article 17, EDPB Guidelines 02/2025). Raises ``BadInput`` when a value cannot be recorded, ``KeysUnavailable``
    when private values cannot be sealed, ``RuntimeError`` outside ``transaction.atomic()``.
    """
    require_transaction()
    if not isinstance(by, Actor):
        raise TypeError("by: an entry needs the Actor who did it")
    name, object_key = _named(subject)
    told = {**(subject.about if isinstance(subject, Governed) else {}), **(facts or {})}
    event_id = new_event_id()
    values = values_of(name, private or {}, reason, by)
    commitments = {value.field: value.commitment for value in values}
    data = entry_bytes(
        event_id, event, name, object_key, facts=told, commitments=commitments, by=by, after=known.after()
    )
    with connection.cursor() as cursor:
        insert(cursor, event_id, object_key, data, values)
    return Receipt(event_id=event_id, object_key=object_key)


def entry_bytes(
    event_id: UUID,
    event: Event,
    subject: str,
    object_key: str,
    *,
    facts: Mapping[str, Any],
    commitments: Mapping[str, str],
    by: Actor,
    after: Mapping[str, int | str] | None = None,
) -> bytes:
    """The canonical bytes of an entry: what is hashed, proved and handed out. Raises ``BadInput``.

    ``after`` is the newest witnessed checkpoint that the writer knew (``audit.witnesses.known``).
    """
    return _encode(
        {
            "v": SHAPE,
            "id": str(event_id),
            "event": Event(event).value,
            "actor": {"id": by.id, "kind": by.kind, "roles": sorted(by.roles)},
            "subject": subject,
            "object": object_key,
            "at": _timestamp(),
            "request": context.request_id.get(),
            "facts": dict(facts),
            "commit": dict(commitments),
            "after": dict(after) if after else None,
        }
    )


def require_transaction() -> None:
    """Raise ``RuntimeError`` unless a transaction is open: a record apart from its change proves nothing."""
    if not connection.in_atomic_block:
        raise RuntimeError("append to the log inside transaction.atomic(), together with the change that it records")


def new_event_id() -> UUID:
    """A UUID version 7 (RFC 9562 section 5.7): unique, and ordered by millisecond so that the index stays compact."""
    milliseconds = time.time_ns() // 1_000_000
    value = int.from_bytes(milliseconds.to_bytes(6) + os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def _named(subject: Governed | str) -> tuple[str, str]:
    if isinstance(subject, Governed):
        name, object_key = subject.subject, subject.object_key
    else:
        name = object_key = subject
    kind, colon, rest = name.partition(":")
    if not (kind and colon and rest) or len(name) > MAX_SUBJECT:
        raise BadInput(
            _("The subject «%(subject)s» is not written as <kind>:<name> with at most %(limit)d characters.")
            % {"subject": name[:80], "limit": MAX_SUBJECT},
            code="log.subject",
        )
    return name, object_key


def values_of(subject: str, private: Mapping[str, str], reason: str, by: Actor) -> list[Value]:
    """The private values of an entry about ``subject``, each with its owner and salt. Raises ``BadInput``."""
    # Free text about an account belongs to that account's person; all else to whoever wrote it.
    person = subject if subject.startswith("user:") else by.id
    fields = [(field, person, text) for field, text in private.items() if text]
    if reason:
        fields.append(("reason", by.id, reason))
    if by.kind != "system":
        fields.append(("actor.name", by.id, by.name))
    return [Value.of(field, owner, _text(canonical.normalised(text), field)) for field, owner, text in fields]


def _text(text: str, field: str) -> bytes:
    try:
        canonical.encode(text)
    except canonical.NotCanonical as error:
        raise _unrecordable(error, field) from error
    return text.encode()


def _encode(entry: dict[str, Any]) -> bytes:
    try:
        data = canonical.encode(canonical.normalised(entry))
    except canonical.NotCanonical as error:
        raise _unrecordable(error, "facts") from error
    if len(data) > canonical.MAX_BYTES:
        raise BadInput(
            _("The entry has %(size)d bytes; at most %(limit)d can be recorded. Record a digest of the long value.")
            % {"size": len(data), "limit": canonical.MAX_BYTES},
            code="log.too_long",
        )
    return data


def _unrecordable(error: canonical.NotCanonical, field: str) -> BadInput:
    return BadInput(
        _("This cannot be recorded: %(problem)s") % {"problem": error},
        code="log.unrecordable",
        fields={field: str(error)},
    )


def insert(cursor: Cursor, event_id: UUID, object_key: str, data: bytes, values: Sequence[Value]) -> None:
    """Write the entry and its sealed values; both or neither. Raises ``Conflict``, ``KeysUnavailable``."""
    if not values:
        cursor.execute(_INSERT_ENTRY, [event_id, object_key, data])
        return
    people = sorted({value.subject for value in values})
    for _try in range(_TRIES):
        sealed = payloads.seal(event_id, values)
        keys = [each.key_id for each in sealed]
        columns: list[Any] = [
            [value.field for value in values],
            [value.subject for value in values],
            [value.salt for value in values],
            keys,
            [each.body for each in sealed],
        ]
        cursor.execute(_INSERT_WITH_PAYLOAD, [people, keys, event_id, object_key, data, *columns])
        if cursor.rowcount:
            return
        _destroy_erased(cursor, keys)
    raise Conflict(_("What this would record about a person is being erased. Repeat it later."), code="log.erasing")


def _destroy_erased(cursor: Cursor, keys: Sequence[UUID]) -> None:
    """Finish what the erasure has committed in this database: its keys end in theirs, so that new ones can be made."""
    cursor.execute("SELECT key_id FROM audit.erased_key WHERE key_id = ANY (%s)", [list(keys)])
    subject_keys.destroy([key_id for (key_id,) in cursor.fetchall()])


def _timestamp() -> str:
    """The claimed time, RFC 3339 in UTC with six digits; the order of the log never depends on it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
