"""The rows of a question: personal data, so sealed under keys that can be destroyed, with a commitment in the log.

A row belongs to a data subject when whoever asks names one; else to the job alone. The name is never stored: a keyed
hash of it finds the rows again when the person asks to be erased.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from django.conf import settings
from django.utils.crypto import salted_hmac

from audit import subject_keys
from explain.digests import digest
from explain.models import ExplanationInput, ExplanationJob

_SALT = "explain.inputs.subject"
#: How the subject of a row begins that is about somebody.
_SOMEBODY = "data-subject:"


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was asked. ``cells`` is None when it was erased. ``subject``: the key's subject."""

    id: str
    cells: tuple[Any, ...] | None
    position: int
    subject: str = ""

    @property
    def about_somebody(self) -> bool:
        """Whether whoever asked said whom it is about."""
        return self.subject.startswith(_SOMEBODY)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A row before it is stored: its salt makes the commitment say nothing about its cells."""

    id: str
    cells: Sequence[Any]
    subject: str
    salt: str

    @property
    def commitment(self) -> str:
        """``sha256:`` over salt and cells: what the log keeps of the row."""
        return commitment(self.salt, self.cells)


def commitment(salt: str, cells: Sequence[Any]) -> str:
    """The commitment of a row with ``cells``; ``salt`` is 32 random bytes in hexadecimal."""
    return digest({"salt": salt, "cells": list(cells)})


def pseudonyms(subject: str) -> list[str]:
    """The subjects under which rows of a data subject may lie: one for each ``SECRET_KEY`` that was ever in use."""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [
        _SOMEBODY + salted_hmac(_SALT, subject, secret=secret, algorithm="sha256").hexdigest() for secret in secrets
    ]


def draw(
    rows: Sequence[Mapping[str, Any]],
    background: Sequence[Sequence[Any]],
    subjects: Mapping[str, str],
    behind: Sequence[str] = (),
) -> tuple[list[Drawn], list[Drawn]]:
    """Rows (``{"id", "cells"}``) and background with a salt and the subject whose key will seal them.

    ``subjects``: row id -> the data subject it is about; ``behind``: those of the background, one for each row or none
    at all. Rows that name none share a key that belongs to this question.
    """
    own = f"explained:{uuid4().hex}"

    def drawn(row_id: str, cells: Sequence[Any], subject: str) -> Drawn:
        return Drawn(row_id, cells, pseudonyms(subject)[0] if subject else own, os.urandom(32).hex())

    explained = [drawn(row["id"], row["cells"], subjects.get(row["id"], "")) for row in rows]
    about = behind or [""] * len(background)
    return explained, [drawn("", cells, subject) for cells, subject in zip(background, about, strict=True)]


def store(job: ExplanationJob, rows: Sequence[Drawn], background: Sequence[Drawn]) -> None:
    """Seal and store the rows of a new job. Raises ``subject_keys.KeysUnavailable``."""
    keys = subject_keys.in_use({each.subject for each in (*rows, *background)})
    made = []
    for behind, drawn in ((False, rows), (True, background)):
        for position, each in enumerate(drawn):
            key = keys[each.subject]
            body = json.dumps({"cells": list(each.cells), "salt": each.salt}).encode()
            nonce = os.urandom(12)
            sealed = nonce + key.cipher.encrypt(nonce, body, _bound(job, behind, position))
            made.append(
                ExplanationInput(
                    job=job,
                    background=behind,
                    position=position,
                    row_id=each.id,
                    subject=each.subject,
                    key_id=key.key_id,
                    body=sealed,
                    commitment=each.commitment,
                )
            )
    ExplanationInput.objects.bulk_create(made)


def _bound(job: ExplanationJob, background: bool, position: int) -> bytes:
    """What a body is sealed to: it opens in its own place only."""
    return hashlib.sha256(f"explain_explanationinput/{job.pk}/{int(background)}/{position}".encode()).digest()


def drawn_of(job: ExplanationJob) -> tuple[list[Drawn], list[Drawn]]:
    """Rows and background of a stored job as they were drawn, to ask the very same again.

    Raises ``LookupError`` when one of them was erased, ``subject_keys.KeysUnavailable``.
    """
    stored = list(job.inputs.all())
    ciphers = subject_keys.ciphers({each.key_id for each in stored})
    opened: tuple[list[Drawn], list[Drawn]] = ([], [])
    for each in stored:
        content = _opened(job, each, ciphers.get(each.key_id))
        if content is None:
            raise LookupError(each.row_id)
        opened[each.background].append(Drawn(each.row_id, content["cells"], each.subject, content["salt"]))
    return opened


def rows_of(job: ExplanationJob) -> list[Row]:
    """The rows that were asked about, in order. Raises ``subject_keys.KeysUnavailable``."""
    if job.rows:
        return [Row(row["id"], tuple(row["cells"]), i) for i, row in enumerate(job.rows)]
    return _rows(job, background=False)


def background_of(job: ExplanationJob) -> list[Row]:
    """The background rows, in order. Raises ``subject_keys.KeysUnavailable``."""
    if job.background:
        return [Row("", tuple(cells), i) for i, cells in enumerate(job.background)]
    return _rows(job, background=True)


def background_digest(job: ExplanationJob) -> str:
    """Of the content, to compare two questions; one with a row that is gone equals no other question's.

    Raises ``subject_keys.KeysUnavailable``.
    """
    rows = background_of(job)
    gone = [job.subject] if any(row.cells is None for row in rows) else []
    return digest([*gone, *(list(row.cells or ()) for row in rows)])


def cells_of(job: ExplanationJob, row_id: str) -> tuple[Any, ...] | None:
    """The cells of one row; None when it was erased or there is none. Raises ``subject_keys.KeysUnavailable``."""
    return next((row.cells for row in rows_of(job) if row.id == row_id), None)


def _rows(job: ExplanationJob, *, background: bool) -> list[Row]:
    stored = list(job.inputs.filter(background=background))
    ciphers = subject_keys.ciphers({each.key_id for each in stored})
    found = []
    for each in stored:
        content = _opened(job, each, ciphers.get(each.key_id))
        cells = None if content is None else tuple(content["cells"])
        found.append(Row(each.row_id, cells, each.position, each.subject))
    return found


def _opened(job: ExplanationJob, stored: ExplanationInput, cipher: Any) -> dict[str, Any] | None:
    """What was sealed; None when it was erased, its key is gone or its bytes were changed: ``problems`` tells these."""
    if stored.body is None or cipher is None:
        return None
    body = bytes(stored.body)
    try:
        plain = cipher.decrypt(body[:12], body[12:], _bound(job, stored.background, stored.position))
    except (InvalidTag, ValueError):
        return None
    content: dict[str, Any] = json.loads(plain)
    return content


def problems(job: ExplanationJob) -> bool:
    """Whether a stored row cannot be opened or no longer fits its commitment, or the commitments the digests in the
    log. What was erased has no body and is none.
    """
    stored = list(job.inputs.all())
    ciphers = subject_keys.ciphers({each.key_id for each in stored})
    for each in stored:
        content = _opened(job, each, ciphers.get(each.key_id))
        if content is None:
            if each.body is not None:
                return True
        elif commitment(content["salt"], content["cells"]) != each.commitment:
            return True
    digests = digests_of(
        [each.commitment for each in stored if not each.background],
        [each.commitment for each in stored if each.background],
    )
    return any(job.digests.get(name) != value for name, value in digests.items())


def digests_of(rows: Sequence[str], background: Sequence[str]) -> dict[str, str]:
    """The digests that the log holds of rows and background: over their commitments, in order."""
    return {"rows": digest(list(rows)), "background": digest(list(background))}
