"""Tables as files: CSV as RFC 4180 says it and XLSX with memory for one row, neither of which a spreadsheet executes.

The same rows give the same bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import IO

import xlsxwriter
from django.utils.translation import gettext as _

from audit.refusals import BadInput

Cell = str | int
#: Rows of a sheet besides its heading (the file format's own limit), and characters of a cell.
MAX_SHEET = 1_048_575
_MAX_CELL = 32_767
#: A spreadsheet reads a cell that begins so as a formula (OWASP, «CSV injection»).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FIXED = datetime(1980, 1, 1)
_PIECE = 500


def must_fit(rows: int) -> None:
    """Raises ``BadInput`` when no sheet can hold so many rows."""
    if rows > MAX_SHEET:
        raise BadInput(
            _("A sheet holds at most %(limit)d rows. Choose a shorter period, or take the CSV file.")
            % {"limit": MAX_SHEET},
            code="log.sheet_full",
        )


def csv_pieces(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """The table as text, some hundred rows at a time; a cell that would be a formula gets an apostrophe in front."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for number, row in enumerate(rows, start=1):
        writer.writerow([_harmless(cell) for cell in row])
        if number % _PIECE == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def write_xlsx(target: IO[bytes], name: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """The table as a workbook of one sheet. The caller sees to it that ``MAX_SHEET`` holds its rows."""
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(target, options) as book:
        book.set_properties({"created": _FIXED})
        sheet = book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        _fill(sheet, [columns])
        _fill(sheet, rows, first=1)


def _fill(sheet: xlsxwriter.worksheet.Worksheet, table: Iterable[Iterable[Cell]], first: int = 0) -> None:
    for number, row in enumerate(table, start=first):
        for column, cell in enumerate(row):
            if isinstance(cell, int):
                sheet.write_number(number, column, cell)
            else:
                # the whole value is on record; a sheet's cell is shorter than an entry may be
                sheet.write_string(number, column, cell[:_MAX_CELL])


def _harmless(cell: Cell) -> Cell:
    return "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
