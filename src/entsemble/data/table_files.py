"""Tables of results as CSV, TSV and Excel files. Spreadsheets compute none of their cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from entsemble._lib.optional import require
from entsemble.data.mention_tables import Cell, Rows
from entsemble.errors import DataError
from entsemble.types import Document

ToRows = Callable[[Iterable[Document]], Rows]

_BYTE_ORDER_MARK = "\ufeff"
"""Without it, Excel reads a CSV file in the encoding of the computer's language."""

_FORMULA = re.compile(r"[=+\-@\t\r]")
"""How a cell begins that a spreadsheet computes instead of showing it."""

_SPECIAL = re.compile(r'[",\r\n]')
"""What a cell holds that must be quoted."""

_MAX_XLSX_ROWS = 1_048_576
_MAX_XLSX_CHARACTERS = 32_767
_COLUMN_WIDTHS = {"sentence": 60, "text": 30, "name": 30, "votes": 30, "variants": 40, "files": 40, "file": 25}


def write_csv(to_rows: ToRows, documents: Iterable[Document], stream: TextIO) -> None:
    """Comma-separated values, for other programs."""
    for row in to_rows(documents):
        stream.write(",".join(map(_quoted, _defused(row))) + "\n")


def write_csv_file(to_rows: ToRows, documents: Iterable[Document], path: Path) -> None:
    """Comma-separated values that Excel, too, reads as UTF-8."""
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(_BYTE_ORDER_MARK)
        write_csv(to_rows, documents, stream)


def _quoted(cell: Cell) -> str:
    """A cell as `csv.writer` writes it, which before Python 3.11 refuses texts with a NUL character."""
    text = str(cell)
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


def write_tsv(to_rows: ToRows, documents: Iterable[Document], stream: TextIO) -> None:
    """Tab-separated values without quotation marks: each TAB or line end in a cell is a space."""
    for row in to_rows(documents):
        stream.write("\t".join(" ".join(str(cell).split()) for cell in _defused(row)) + "\n")


def write_xlsx(to_rows: ToRows, documents: Iterable[Document], path: Path) -> None:
    """An Excel workbook of one sheet. Rows are written as they come, until the end to files in the folder of `path`.

    Raises:
        DataError: the table does not fit into a sheet.
        MissingExtraError: XlsxWriter is not installed.
        OSError: it cannot be written.
    """
    xlsxwriter = require("xlsxwriter", "documents", "writing Excel files")
    workbook = xlsxwriter.Workbook(path, {"constant_memory": True, "tmpdir": str(path.parent)})
    try:
        sheet = workbook.add_worksheet("entsemble")
        sheet.freeze_panes(1, 0)
        bold = workbook.add_format({"bold": True})
        for row_number, row in enumerate(to_rows(documents)):
            if row_number == _MAX_XLSX_ROWS:
                raise DataError(
                    f"an Excel sheet has {_MAX_XLSX_ROWS:,} rows, and there are more; write .csv", path.name
                )
            for column, cell in enumerate(row):
                if row_number == 0:
                    sheet.set_column(column, column, _COLUMN_WIDTHS.get(str(cell), 12))
                    sheet.write_string(0, column, str(cell), bold)
                elif isinstance(cell, str):
                    _check_length(cell, path)
                    sheet.write_string(row_number, column, cell)
                elif cell is not None:
                    sheet.write_number(row_number, column, cell)
    finally:
        try:
            workbook.close()
        except xlsxwriter.exceptions.FileCreateError as error:
            raise OSError(*error.args[0].args) from error


def _check_length(cell: str, path: Path) -> None:
    if len(cell) > _MAX_XLSX_CHARACTERS:
        problem = f"a cell of {len(cell):,} characters begins {cell[:40]!r}; Excel has {_MAX_XLSX_CHARACTERS:,}"
        raise DataError(f"{problem}; write .csv", path.name)


def _defused(row: Iterable[Cell]) -> list[Cell]:
    """The cells, with an apostrophe before texts that a spreadsheet would take for formulas; nothing for `None`."""
    return [_defused_text(cell) if isinstance(cell, str) else "" if cell is None else cell for cell in row]


def _defused_text(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell
