"""The group and the true outcome of each row, which whoever asks about fairness gives.

They say things about people that nothing else here needs to know, so they are sealed under a key of the one analysis,
and both are destroyed when it ends. The log keeps a salted commitment, which says nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.utils.translation import gettext as _

from audit import subject_keys
from audit.refusals import BadInput
from explain.digests import digest

MOST_NAME = 64


@dataclass(frozen=True, slots=True)
class Given:
    """``groups``: row id -> name of its group, ``None`` when a column says it; ``labels``: row id -> 0 or 1, ``None``
    when nobody knows.
    """

    groups: Mapping[str, str] | None
    labels: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Sealed:
    """``Given`` as it is stored, with the key that opens it and the commitment for the log."""

    body: bytes
    key_id: UUID
    commitment: str


def read(groups: Any, labels: Any, *, rows: Collection[str], needed: Collection[str]) -> Given:
    """Checked groups and labels. ``rows``: the ids that were asked about; ``needed``: those that must be there.

    Raises ``BadInput`` that names the row.
    """
    return Given(
        None if groups is None else _each("groups", groups, _group, rows, needed),
        None if labels is None else _each("labels", labels, _label, rows, needed),
    )


def _each(field: str, given: Any, reader: Any, rows: Collection[str], needed: Collection[str]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise refused(field, _("Send an object of row ids and values."))
    for row_id in given:
        if row_id not in rows:
            raise refused(field, _("The explanation has no row “%(id)s”.") % {"id": str(row_id)[:MOST_NAME]})
    for row_id in needed:
        if row_id not in given:
            raise refused(field, _("Row “%(id)s” has no value here.") % {"id": row_id})
    return {str(row_id): reader(row_id, value) for row_id, value in given.items()}


def _group(row_id: str, value: Any) -> str:
    if isinstance(value, bool | float) or not isinstance(value, str | int):
        raise refused("groups", _("Row “%(id)s”: the name of a group is text.") % {"id": row_id})
    name = str(value).strip()
    if not 1 <= len(name) <= MOST_NAME or not name.isprintable():
        raise refused(
            "groups", _("Row “%(id)s”: the name of a group has 1 to 64 printable characters.") % {"id": row_id}
        )
    return name


def _label(row_id: str, value: Any) -> int:
    if isinstance(value, float) or value not in (0, 1):
        raise refused("labels", _("Row “%(id)s”: a true outcome is 0 or 1.") % {"id": row_id})
    return int(value)


def refused(field: str, sentence: str) -> BadInput:
    """What is wrong with one field of the question."""
    return BadInput(sentence, code=f"analysis.{field}", fields={field: sentence})


def seal(given: Given) -> Sealed:
    """``given`` under a new key of its own. Raises ``subject_keys.KeysUnavailable``."""
    subject = f"analysed:{uuid4().hex}"
    key = subject_keys.in_use([subject])[subject]
    content = {"salt": os.urandom(32).hex(), "groups": given.groups, "labels": given.labels}
    nonce = os.urandom(12)
    body = nonce + key.cipher.encrypt(nonce, json.dumps(content).encode(), _bound(key.key_id))
    return Sealed(body, key.key_id, digest(content))


def unseal(body: bytes, key_id: UUID, commitment: str) -> Given:
    """The inverse of ``seal``.

    Raises ``LookupError`` when the key is gone or the content is not what was committed to, ``KeysUnavailable``.
    """
    cipher = subject_keys.ciphers([key_id]).get(key_id)
    if cipher is None:
        raise LookupError("the key is gone")
    content = json.loads(cipher.decrypt(body[:12], body[12:], _bound(key_id)))
    if digest(content) != commitment:
        raise LookupError("the content is not what was committed to")
    return Given(content["groups"], content["labels"])


def _bound(key_id: UUID) -> bytes:
    """What a body is sealed to: it opens under its own key's name only."""
    return hashlib.sha256(f"explain_analysis/{key_id}".encode()).digest()
