"""Private values of entries: how they are committed to, sealed, and read again.

The entry holds ``SHA-256(salt || value)``; the value itself lies in ``audit.payload``, sealed with AES-256-GCM under
the key of its subject (``audit.subject_keys``). The seal is bound to entry and field: a body opens in its own row only.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection
from django.utils.translation import gettext as _

from audit import subject_keys

#: Bytes of the nonce in front of the sealed value.
NONCE = 12


class State(StrEnum):
    """What can be said of a committed value. Only ``READABLE`` has a text."""

    READABLE = "readable"
    #: An entry «subject.erased» took it away, or its key is destroyed.
    ERASED = "erased"
    #: The database of the keys does not answer, or does not know the key: it is not known what was written.
    UNAVAILABLE = "unavailable"
    #: The sealed bytes are not those that were written.
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A row of ``audit.payload``. Select its columns in this order: ``COLUMNS``."""

    event_id: UUID
    field: str
    salt: bytes
    key_id: UUID
    body: bytes


COLUMNS = "p.event_id, p.field, p.salt, p.key_id, p.body"


@dataclass(frozen=True, slots=True)
class Revealed:
    """A value as far as it can be read now. ``data`` are the very bytes that the entry commits to, else None."""

    state: State
    salt: bytes = b""
    data: bytes | None = None

    @property
    def text(self) -> str:
        """The value, or why it is not shown."""
        if self.data is not None:
            return self.data.decode(errors="replace")
        return {
            State.ERASED: _("erased"),
            State.UNAVAILABLE: _("name unavailable"),
            State.DAMAGED: _("damaged"),
        }.get(self.state, "")

    @property
    def commitment(self) -> str:
        """``SHA-256(salt || value)`` in hexadecimal, empty when the value cannot be read."""
        return commitment(self.salt, self.data) if self.data is not None else ""


@dataclass(frozen=True, slots=True)
class Value:
    """A private value before it is sealed, with the salt of its commitment."""

    field: str
    subject: str
    salt: bytes
    data: bytes

    @classmethod
    def of(cls, field: str, subject: str, data: bytes) -> Value:
        """A value of ``subject`` with a fresh salt of 32 random bytes."""
        return cls(field, subject, os.urandom(32), data)

    @property
    def commitment(self) -> str:
        """What the entry says of it."""
        return commitment(self.salt, self.data)


def commitment(salt: bytes, data: bytes) -> str:
    """``SHA-256(salt || value)`` in hexadecimal: says nothing about the value to whoever lacks the salt."""
    return hashlib.sha256(salt + data).hexdigest()


def seal(event_id: UUID, values: Sequence[Value]) -> list[Sealed]:
    """Seal each value under the key of its subject. Raises ``subject_keys.KeysUnavailable``."""
    keys = subject_keys.in_use(value.subject for value in values)
    sealed = []
    for value in values:
        key = keys[value.subject]
        nonce = os.urandom(NONCE)
        body = nonce + key.cipher.encrypt(nonce, value.data, _bound(event_id.bytes, value.field))
        sealed.append(Sealed(event_id, value.field, value.salt, key.key_id, body))
    return sealed


def reveal(rows: Iterable[Sealed]) -> list[Revealed]:
    """The values in the order of the rows; never raises, so that a page can say what it cannot show. One key query.

    A caller that needs certainty looks at ``state``: only ``READABLE`` and ``DAMAGED`` are answers about the bytes.
    """
    sealed = list(rows)
    try:
        ciphers = subject_keys.ciphers({row.key_id for row in sealed}) if sealed else {}
    except subject_keys.KeysUnavailable:
        return [Revealed(State.UNAVAILABLE, bytes(row.salt)) for row in sealed]
    return [_opened(row, ciphers) for row in sealed]


def erased(log_id: int, event_ids: Iterable[UUID]) -> dict[tuple[UUID, str], tuple[UUID, int | None]]:
    """Which fields of these entries were erased, each with the erasure's event id and its index. One query.

    The index is None until the sequencer has numbered the erasure.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.event_id, r.field, r.erasure_id, v.leaf_index FROM audit.erased r"
            " LEFT JOIN audit.event v ON v.event_id = r.erasure_id AND v.log_id IN (SELECT log_id FROM audit.log)"
            " WHERE r.log_id = %s AND r.event_id = ANY (%s)",
            [log_id, list(event_ids)],
        )
        return {(event_id, field): (erasure, index) for event_id, field, erasure, index in cursor.fetchall()}


def _opened(row: Sealed, ciphers: dict[UUID, AESGCM | None]) -> Revealed:
    salt, body = bytes(row.salt), bytes(row.body)
    if row.key_id not in ciphers:
        return Revealed(State.UNAVAILABLE, salt)
    cipher = ciphers[row.key_id]
    if cipher is None:
        return Revealed(State.ERASED, salt)
    data = opened(cipher, row.event_id.bytes, row.field, body)
    return Revealed(State.DAMAGED, salt) if data is None else Revealed(State.READABLE, salt, data)


def opened(cipher: AESGCM, event_id: bytes, field: str, body: bytes) -> bytes | None:
    """The value in a sealed body of the entry with this id (16 bytes); None when these are not the bytes written."""
    try:
        return cipher.decrypt(body[:NONCE], body[NONCE:], _bound(event_id, field))
    except (InvalidTag, ValueError):
        return None


def _bound(event_id: bytes, field: str) -> bytes:
    return b"countersign/payload/v1\0" + event_id + field.encode()
