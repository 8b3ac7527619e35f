"""What an entry's bytes say: the fields of the read model. One bad entry must not stop the log, so nothing raises."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

#: Stands for the event of an entry whose bytes are not of our shape.
UNREADABLE = "unreadable"
#: Bytes in UTF-8. PostgreSQL refuses an index row of more than 2704, and a refused row would stop the sequencer.
MAX_TEXT = 2000
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Projection:
    """The searchable and readable fields of one entry; times in UTC."""

    event: str
    actor_id: str
    subject: str
    object_key: str
    request_id: str
    occurred_at: datetime
    roles: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    commitments: dict[str, str] = field(default_factory=dict)


def project(data: bytes, object_key: str) -> Projection:
    """Read an entry; what is not of our shape becomes ``unreadable`` and keeps its place."""
    try:
        entry = json.loads(data)
        # half a surrogate pair or an infinite number is valid in JSON, but neither a column nor an answer can hold it
        json.dumps(entry, ensure_ascii=False, allow_nan=False).encode()
        made = Projection(
            event=_text(entry["event"]),
            actor_id=_text(entry["actor"]["id"]),
            subject=_text(entry["subject"]),
            object_key=_text(entry["object"]),
            request_id=_text(entry["request"]),
            occurred_at=datetime.fromisoformat(entry["at"]).astimezone(UTC),
            roles=tuple(_text(role) for role in entry["actor"]["roles"]),
            facts=dict(entry["facts"]),
            commitments={_text(name): _text(value) for name, value in entry["commit"].items()},
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return Projection(UNREADABLE, "", object_key, object_key, "", _NO_TIME)
    return made


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value or len(value.encode()) > MAX_TEXT:
        raise ValueError("not a text that an indexed column can hold")
    return value
