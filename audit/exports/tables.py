"""CSV and XLSX of a search in the log: the rows of the Log page, all of them, newest first.

The same entries give the same bytes. Both hold exactly as many rows as the page counts.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import IO

import xlsxwriter
from django.utils.translation import gettext as _

from audit import queries
from audit.queries import EntryRow
from audit.refusals import BadInput
from audit.searching import Filters

COLUMNS = ["entry", "recorded_at", "claimed_at", "actor", "actor_id", "roles", "event", "sentence", "subject", "model"]
COLUMNS += ["environment", "reason", "facts", "request_id", "event_id"]
#: Rows of a sheet besides its heading (the file format's own limit), and characters of a cell.
MAX_SHEET = 1_048_575
_MAX_CELL = 32_767
#: A spreadsheet reads a cell that begins so as a formula (OWASP, «CSV injection»).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FIXED = datetime(1980, 1, 1)
_PIECE = 500


def rows(filters: Filters) -> Iterator[list[str | int]]:
    """The cells of each numbered entry that matches."""
    return (_cells(row) for row in queries.stream(filters))


def csv_pieces(filters: Filters) -> Iterator[str]:
    """The table as text, some hundred rows at a time; lines end as RFC 4180 says."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for number, row in enumerate(rows(filters), start=1):
        writer.writerow([_harmless(cell) for cell in row])
        if number % _PIECE == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def write_xlsx(target: IO[bytes], filters: Filters) -> None:
    """The table as a workbook, with memory for one row. Raises ``BadInput`` when no sheet can hold it."""
    if queries.count(filters, exact=True).entries > MAX_SHEET:
        raise BadInput(
            _("A sheet holds at most %(limit)d rows. Choose a shorter period, or take the CSV file.")
            % {"limit": MAX_SHEET},
            code="log.sheet_full",
        )
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(target, options) as book:
        book.set_properties({"created": _FIXED})
        sheet = book.add_worksheet("log")
        sheet.freeze_panes(1, 0)
        _fill(sheet, [COLUMNS])
        _fill(sheet, rows(filters), first=1)


def _fill(sheet: xlsxwriter.worksheet.Worksheet, table: Iterable[Iterable[str | int]], first: int = 0) -> None:
    for number, row in enumerate(table, start=first):
        for column, cell in enumerate(row):
            if isinstance(cell, int):
                sheet.write_number(number, column, cell)
            else:
                # the whole value is in the log; a sheet's cell is shorter than an entry may be
                sheet.write_string(number, column, cell[:_MAX_CELL])


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


def _harmless(cell: str | int) -> str | int:
    return "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
