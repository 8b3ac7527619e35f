"""CSV and XLSX of a search in the log: the rows of the Log page, all of them, newest first.

The same entries give the same bytes. Both hold exactly as many rows as the page counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO

from django.utils.translation import gettext as _

from audit import queries
from audit.exports import spreadsheets
from audit.queries import EntryRow
from audit.refusals import BadInput
from audit.searching import Filters

COLUMNS = ["entry", "recorded_at", "claimed_at", "actor", "actor_id", "roles", "event", "sentence", "subject", "model"]
COLUMNS += ["environment", "reason", "facts", "request_id", "event_id"]


def rows(filters: Filters) -> Iterator[list[str | int]]:
    """The cells of each numbered entry that matches."""
    return (_cells(row) for row in queries.stream(filters))


def csv_pieces(filters: Filters) -> Iterator[str]:
    """The table as text, some hundred rows at a time."""
    return spreadsheets.csv_pieces(COLUMNS, rows(filters))


def write_xlsx(target: IO[bytes], filters: Filters) -> None:
    """The table as a workbook, with memory for one row. Raises ``BadInput`` when no sheet can hold it."""
    if queries.count(filters, exact=True).entries > spreadsheets.MAX_SHEET:
        raise BadInput(
            _("A sheet holds at most %(limit)d rows. Choose a shorter period, or take the CSV file.")
            % {"limit": spreadsheets.MAX_SHEET},
            code="log.sheet_full",
        )
    spreadsheets.write_xlsx(target, "log", COLUMNS, rows(filters))


def _cells(row: EntryRow) -> list[str | int]:
    return [
        row.index if row.index is not None else "",
        _moment(row.recorded_at),
        _moment(row.at),
        row.actor_name,
        row.actor_id,
        " ".join(row.roles),
        row.event,
        str(row.sentence),
        row.subject,
        row.model,
        row.environment,
        row.reason,
        json.dumps(row.facts, ensure_ascii=False, sort_keys=True),
        row.request_id,
        str(row.event_id),
    ]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
