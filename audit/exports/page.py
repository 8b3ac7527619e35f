"""The page of a bundle that people read: one file, no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.utils import translation

from audit.entries import Checkpoint
from audit.exports.scope import Scope
from audit.projection import project
from audit.queries import sentence_of


@dataclass(frozen=True, slots=True)
class Line:
    """One entry; ``who`` is the name when it is disclosed, else the pseudonym."""

    index: int
    at: datetime
    who: str
    sentence: str
    subject: str
    reason: str


def render(
    scope: Scope,
    checkpoint: Checkpoint,
    counts: dict[str, int],
    entries: Sequence[tuple[int, bytes]],
    disclosed: Sequence[tuple[int, str, str]],
) -> bytes:
    """The page in the scope's language. Everything from entries is escaped by the template."""
    told = {(index, field): value for index, field, value in disclosed}
    with translation.override(scope.language):
        lines = [_line(index, data, told) for index, data in entries]
        context: dict[str, Any] = {
            "language": scope.language,
            "direction": "rtl" if translation.get_language_bidi() else "ltr",
            "scope": scope,
            "checkpoint": checkpoint,
            "origin": checkpoint.parsed.head.origin,
            "root": checkpoint.root.hex(),
            "counts": counts,
            "lines": lines,
            "left_out": counts["entries"] - len(lines),
        }
        return render_to_string("audit/export_index.html", context).encode()


def _line(index: int, data: bytes, told: dict[tuple[int, str], str]) -> Line:
    shown = project(data, "")
    who = told.get((index, "actor.name"), shown.actor_id)
    reason = told.get((index, "reason"), "")
    return Line(index, shown.occurred_at, who, sentence_of(shown.event), shown.subject, reason)
