"""Private values of a range of entries: each is opened and compared with the commitment in its entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from audit import payloads, subject_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from audit.verification.ranges import Connection, RangeResult
    from audit.verification.shown import Promised

# Event ids grow with time, so those of a range lie together; strays that spread them out are met by the second form.
COLUMNS = "p.event_id::text, uuid_send(p.event_id), p.field, p.salt, uuid_send(p.key_id), p.body"
_BETWEEN = f"""
    SELECT {COLUMNS} FROM audit.payload p
    WHERE p.log_id = %s AND p.event_id >= %s::uuid AND p.event_id <= %s::uuid LIMIT %s
"""  # noqa: S608  a constant
_NAMED = f"""
    SELECT {COLUMNS} FROM audit.payload p WHERE p.log_id = %s AND p.event_id = ANY(%s::uuid[])
"""  # noqa: S608  a constant
# The erasure must be an entry that says so itself, not only a row that claims one.
_ERASED = """
    SELECT r.event_id::text, r.field, v.leaf_index FROM audit.erased r
    JOIN audit.entry x ON x.event_id = r.erasure_id
    LEFT JOIN audit.event v ON v.log_id = x.log_id AND v.event_id = x.event_id
    WHERE r.log_id = %s AND r.event_id = ANY(%s::uuid[])
    AND convert_from(x.entry, 'UTF8')::jsonb ->> 'event' = 'subject.erased'
"""


def check_private(connection: Connection, log_id: int, promised: Promised, result: RangeResult) -> None:
    """Add to ``result`` what is wrong with the private values of the entries ``promised``, which keeps what is missing.

    A commitment is taken out of ``promised`` as soon as a row answers it, so a second row for it is one too many.
    """
    if not promised:
        return
    rows = _rows(connection, log_id, promised)
    result.private += len(rows)
    ciphers = _ciphers({key_id for _id, _bytes, _name, _salt, key_id, _body in rows})
    for event_id, id_bytes, name, salt, key_id, body in rows:
        index, commitments = promised[event_id]
        commitment = commitments.pop(name, None)
        if commitment is None:
            result.problems.append((index, "private.added", name))
        elif key_id not in ciphers:
            result.unreadable += 1
        elif (cipher := ciphers[key_id]) is None:
            result.destroyed += 1
        else:
            value = payloads.opened(cipher, id_bytes, name, body)
            if value is None or payloads.commitment(salt, value) != commitment:
                result.problems.append((index, "private.differs", name))
    missing = {(event_id, name) for event_id, (_, named) in promised.items() if named for name in named}
    if missing:
        _explain_missing(connection, log_id, promised, missing, result)


def _ciphers(key_ids: set[bytes]) -> dict[bytes, AESGCM | None]:
    """As ``subject_keys.ciphers``; empty when nobody answers for the keys."""
    try:
        return {key.bytes: cipher for key, cipher in subject_keys.ciphers(UUID(bytes=each) for each in key_ids).items()}
    except subject_keys.KeysUnavailable:
        return {}


def _rows(connection: Connection, log_id: int, promised: Promised) -> list[tuple[Any, ...]]:
    limit = 8 * len(promised) + 1000
    found: list[tuple[Any, ...]] = connection.execute(
        _BETWEEN, (log_id, min(promised), max(promised), limit), binary=True
    ).fetchall()
    if len(found) == limit:
        found = connection.execute(_NAMED, (log_id, list(promised)), binary=True).fetchall()
    return [row for row in found if row[0] in promised]


def _explain_missing(
    connection: Connection, log_id: int, promised: Promised, missing: set[tuple[str, str]], result: RangeResult
) -> None:
    erased = {
        (event_id, name): index
        for event_id, name, index in connection.execute(_ERASED, (log_id, sorted({each for each, _ in missing})))
    }
    for event_id, name in missing:
        if (event_id, name) in erased:
            result.erased.append((promised[event_id][0], name, erased[event_id, name]))
        else:
            result.problems.append((promised[event_id][0], "private.missing", name))
