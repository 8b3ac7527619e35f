"""CSV and XLSX of any table: streamed, harmless to spreadsheets, the same bytes for the same rows.

Cells are text or whole numbers. What begins like a formula is told apart in CSV by a leading apostrophe; in XLSX every
text is written as text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import IO

import xlsxwriter

#: Rows of a sheet besides its heading (the file format's own limit), and characters of a cell.
MAX_SHEET = 1_048_575
_MAX_CELL = 32_767
#: A spreadsheet reads a cell that begins so as a formula (OWASP, «CSV injection»).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FIXED = datetime(1980, 1, 1)
_PIECE = 500


def csv_pieces(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> Iterator[str]:
    """The table as text, some hundred rows at a time; lines end as RFC 4180 says."""
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


def write_xlsx(target: IO[bytes], name: str, columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    """The table as a workbook with one sheet, with memory for one row. At most ``MAX_SHEET`` rows: ask before."""
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(target, options) as book:
        book.set_properties({"created": _FIXED})
        sheet = book.add_worksheet(name)
        sheet.freeze_panes(1, 0)
        _fill(sheet, [columns])
        _fill(sheet, rows, first=1)


def _fill(sheet: xlsxwriter.worksheet.Worksheet, table: Iterable[Iterable[str | int]], first: int = 0) -> None:
    for number, row in enumerate(table, start=first):
        for column, cell in enumerate(row):
            if isinstance(cell, int):
                sheet.write_number(number, column, cell)
            else:
                # a sheet's cell is shorter than a value may be; the whole value is on the page and in the CSV file
                sheet.write_string(number, column, cell[:_MAX_CELL])


def _harmless(cell: str | int) -> str | int:
    return "'" + cell if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
