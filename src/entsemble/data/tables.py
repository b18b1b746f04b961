"""CSV and TSV tables with a header and a column of texts.

In CSV, quotation marks enclose cells. In TSV, they usually are a part of the text: a cell is unquoted only where that
alone makes sense, see `_tsv_rows`.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence

from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError, warn
from entsemble.types import Document

TEXT_HEADERS = ("text", "content", "sentence", "body", "message", "full_text", "tweet", "document")
ID_HEADERS = ("id", "doc_id", "document_id", "text_id", "uid", "uuid")

_DELIMITERS = {"csv": ",;\t|", "tsv": "\t"}


ANNOTATION_HEADERS = ("mentions", "entities", "spans", "annotations", "ents")

_QUOTED_CELL = re.compile(r'"((?:[^"]*"")+[^"]*)"')
"""A quoted cell with doubled quotation marks in it."""


def read_csv(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The rows of a CSV file, see `_read`; the delimiter is the most frequent one of the header."""
    return _read(source, options, "csv")


def read_tsv(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The rows of a TSV file, see `_read`."""
    return _read(source, options, "tsv")


def has_text_header(first_line: str, table_format: str) -> bool:
    """Whether the first line of a file names a column of texts."""
    try:
        header = next(csv.reader([first_line], delimiter=_delimiter(first_line, table_format)), [])
    except csv.Error:
        return False
    return _usual_column(header, TEXT_HEADERS) is not None


def is_regular(lines: Sequence[str]) -> bool:
    """Whether there are several lines, and all have as many TABs as the first."""
    contents = [line for line in lines if line.strip()]
    return len(contents) > 1 and len({line.count("\t") for line in contents}) == 1


def _read(source: Source, options: ReadOptions, table_format: str) -> Iterator[Document]:
    """Each row as a document; columns other than text and id become its meta.

    A row without an id is called `<name>:<line>`. Blank rows are skipped.

    Raises:
        DataError: there is no header or no column of texts, a row has too few or too many cells, or a quotation mark
            is not closed.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    lines = source.lines()
    _, first_line = next(lines, (0, ""))
    if not first_line.strip():
        raise DataError("there is no header; the first line must name the columns", source.place, 1)
    delimiter = _delimiter(first_line, table_format)
    try:
        header = [column_name.strip() for column_name in next(csv.reader([first_line], delimiter=delimiter), [])]
    except csv.Error as error:
        problem = f"not valid {table_format.upper()}: {error}; lines must end with a line feed"
        raise DataError(problem, source.place, 1) from error
    text_column = _find_column(header, options.text_column, TEXT_HEADERS, source)
    if text_column is None:
        columns = ", ".join(header)
        problem = f"no column has a usual name of texts; call it {TEXT_HEADERS[0]!r}. The columns are: {columns}"
        raise DataError(problem, source.place, 1)
    id_column = _find_column(header, options.id_column, ID_HEADERS, source)
    annotated = [column_name for column_name in header if column_name in ANNOTATION_HEADERS]
    if annotated or {"start", "end"} <= set(header):
        message = f"{source.place}: tables have texts only, and the column {(*annotated, 'start')[0]!r} becomes meta"
        warn(f"{message}; if it has annotations, convert them to JSON Lines")
    is_tsv = table_format == "tsv" and len(header) > 1 and '"' not in first_line
    numbered_rows = _tsv_rows(lines, len(header)) if is_tsv else _csv_rows(lines, delimiter, table_format, source)
    for line_number, row in numbered_rows:
        if any(cell.strip() for cell in row):
            yield _document(row, header, (text_column, id_column), source, line_number)


def _csv_rows(
    lines: Iterable[tuple[int, str]], delimiter: str, table_format: str, source: Source
) -> Iterator[tuple[int, list[str]]]:
    """Rows with the numbers of their first lines."""
    reader = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    lines_before = 0
    try:
        for row in reader:
            line_number, lines_before = lines_before + 2, reader.line_num
            yield line_number, row
    except csv.Error as error:
        problem = f"not valid {table_format.upper()}: {error}; check the quotation marks"
        raise DataError(problem, source.place, lines_before + 2) from error


def _tsv_rows(lines: Iterable[tuple[int, str]], width: int) -> Iterator[tuple[int, list[str]]]:
    """Rows with the numbers of their first lines, where a quotation mark is a part of the text unless it cannot be.

    A quoted cell may go over several lines only if the lines after the first are too short to be rows. A cell on one
    line is unquoted only if quotation marks in it are doubled.
    """
    remaining = iter(lines)
    waiting = next(remaining, None)
    while waiting is not None:
        row_lines = [waiting]
        waiting = next(remaining, None)
        open_marks = _count_open_marks(row_lines[0][1])
        while open_marks % 2 and waiting is not None and waiting[1].count("\t") < width - 1:
            row_lines.append(waiting)
            open_marks += waiting[1].count('"')
            waiting = next(remaining, None)
        quoted_row = _quoted_row([line for _, line in row_lines], width)
        if quoted_row is not None:
            yield row_lines[0][0], quoted_row
            continue
        for line_number, line in row_lines:
            cells = line.rstrip("\r\n").split("\t")
            yield line_number, [_unquoted(cell) if '"' in cell else cell for cell in cells]


def _count_open_marks(line: str) -> int:
    """The quotation marks in the last cell of a line, if it begins with one."""
    last_cell = line.rpartition("\t")[2]
    return last_cell.count('"') if last_cell.startswith('"') else 0


def _quoted_row(row_lines: list[str], width: int) -> list[str] | None:
    """The cells of a row that is one only with quoted cells, over several lines or with TABs; `None` for other rows."""
    if len(row_lines) == 1 and row_lines[0].count("\t") == width - 1:
        return None
    try:
        rows = list(csv.reader(row_lines, delimiter="\t", strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 and len(rows[0]) == width else None


def _unquoted(cell: str) -> str:
    match = _QUOTED_CELL.fullmatch(cell)
    return match[1].replace('""', '"') if match else cell


def _document(
    row: Sequence[str], header: Sequence[str], columns: tuple[int, int | None], source: Source, line_number: int
) -> Document:
    if len(row) != len(header):
        raise DataError(
            f"this row has {len(row)} cells, but the header names {len(header)} columns; "
            "quote cells that contain separators",
            source.place,
            line_number,
        )
    text_column, id_column = columns
    document_id = "" if id_column is None else row[id_column].strip()
    meta = {
        column_name: cell
        for column_index, (column_name, cell) in enumerate(zip(header, row, strict=True))
        if column_index not in columns
    }
    return Document(document_id or f"{source.name}:{line_number}", row[text_column], meta=meta)


def _find_column(
    header: Sequence[str], column_name: str | None, usual_names: Sequence[str], source: Source
) -> int | None:
    if column_name is not None and column_name not in header:
        problem = f"there is no column {column_name!r}; the columns are: {', '.join(header)}"
        raise DataError(problem, source.place, 1)
    return header.index(column_name) if column_name is not None else _usual_column(header, usual_names)


def _usual_column(header: Sequence[str], usual_names: Sequence[str]) -> int | None:
    columns = [column_name.strip().lower() for column_name in header]
    return next((columns.index(name) for name in usual_names if name in columns), None)


def _delimiter(header: str, table_format: str) -> str:
    """The delimiter that is most frequent in the header."""
    return max(_DELIMITERS[table_format], key=header.count)
