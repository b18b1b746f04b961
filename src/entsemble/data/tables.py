"""CSV and TSV tables with a header and a column of texts."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence

from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.types import Document

TEXT_HEADERS = ("text", "content", "sentence", "body", "message", "full_text", "tweet", "document")
ID_HEADERS = ("id", "doc_id", "document_id", "text_id", "uid", "uuid")

_DELIMITERS = {"csv": ",;\t|", "tsv": "\t"}


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
    reader = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    lines_before = 0
    try:
        for row in reader:
            line_number, lines_before = lines_before + 2, reader.line_num
            if any(cell.strip() for cell in row):
                yield _document(row, header, (text_column, id_column), source, line_number)
    except csv.Error as error:
        problem = f"not valid {table_format.upper()}: {error}; check the quotation marks"
        raise DataError(problem, source.place, lines_before + 2) from error


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
