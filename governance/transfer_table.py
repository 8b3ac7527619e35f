"""All transfer safeguards as one table, by what ends first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone

from audit.exports.sheets import Cell
from governance.models.transfer import TransferSafeguard
from governance.policies.vocabulary import format_time

COLUMNS = ["reference", "standing", "type", "law", "document", "document_digest", "exporter", "importer", "subjects"]
COLUMNS += ["regions", "expires_at", "risk_assessment_at", "recorded_at", "recorded_by", "approved_at", "approved_by"]
COLUMNS += ["revoked_at", "revoked_by"]


def rows() -> Iterator[list[Cell]]:
    """The table, read in pieces."""
    now = timezone.now()
    listed = TransferSafeguard.objects.defer("assessment").order_by("expires_at", "reference")
    for row in listed.iterator(chunk_size=500):
        yield [_cell(row.standing(now) if name == "standing" else getattr(row, name)) for name in COLUMNS]


def _cell(value: object) -> Cell:
    if isinstance(value, datetime):
        return format_time(value)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
