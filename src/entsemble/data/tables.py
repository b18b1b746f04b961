"""Tables: CSV and TSV with a header and a column of texts."""

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

_SEPARATORS = {"csv": ",;\t|", "tsv": "\t"}


def read_csv(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The rows of a CSV file, see `_read`; a file whose header has semicolons or TABs is split by these."""
    return _read(source, options, "csv")


def read_tsv(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The rows of a TSV file, see `_read`."""
    return _read(source, options, "tsv")


def has_text_header(first_line: str, kind: str) -> bool:
    """Whether a file that begins with this line names a column of texts."""
    try:
        row = next(csv.reader([first_line], delimiter=_separator(first_line, kind)), [])
    except csv.Error:
        return False
    return _find(row, TEXT_HEADERS) is not None


def _read(source: Source, options: ReadOptions, kind: str) -> Iterator[Document]:
    """Each row as a document; columns that are neither text nor id go to its meta.

    A row without an id is called `<name>:<line>`. Rows whose every cell is blank are skipped.

    Raises:
        DataError: no header, no column of texts, a row with too few or too many cells, or a broken quotation.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    lines = source.lines()
    _, first = next(lines, (0, ""))
    if not first.strip():
        raise DataError("there is no header; the first line must name the columns", source.place, 1)
    rest = (line for _, line in lines)
    separator = _separator(first, kind)
    try:
        header = [h.strip() for h in next(csv.reader([first], delimiter=separator), [])]
    except csv.Error as error:
        raise DataError(f"no {kind.upper()}: {error}; lines end with a line feed", source.place, 1) from error
    text_column = _column(header, options.text_column, TEXT_HEADERS, source)
    if text_column is None:
        raise DataError(
            f"no column is called like a text; call it {TEXT_HEADERS[0]!r}. The columns are: {', '.join(header)}",
            source.place,
            1,
        )
    id_column = _column(header, options.id_column, ID_HEADERS, source)
    reader = csv.reader(rest, delimiter=separator, strict=True)
    try:
        before = 0
        for row in reader:
            line, before = before + 2, reader.line_num
            if any(cell.strip() for cell in row):
                yield _document(row, header, (text_column, id_column), source, line)
    except csv.Error as error:
        raise DataError(f"no {kind.upper()}: {error}; mend the quotation marks", source.place, before + 2) from error


def _document(
    row: Sequence[str], header: Sequence[str], wanted: tuple[int, int | None], source: Source, line: int
) -> Document:
    if len(row) != len(header):
        raise DataError(
            f"this row has {len(row)} cells where the header names {len(header)}; quote cells that hold separators",
            source.place,
            line,
        )
    text, identity = wanted
    name = "" if identity is None else row[identity].strip()
    meta = {h: cell for i, (h, cell) in enumerate(zip(header, row, strict=True)) if i not in wanted}
    return Document(name or f"{source.name}:{line}", row[text], meta=meta)


def _column(header: Sequence[str], named: str | None, known: Sequence[str], source: Source) -> int | None:
    if named is not None and named not in header:
        raise DataError(f"there is no column {named!r}; the columns are: {', '.join(header)}", source.place, 1)
    return header.index(named) if named is not None else _find(header, known)


def _find(header: Sequence[str], known: Sequence[str]) -> int | None:
    names = [h.strip().lower() for h in header]
    return next((names.index(k) for k in known if k in names), None)


def _separator(header: str, kind: str) -> str:
    """The separator that the header uses most."""
    return max(_SEPARATORS[kind], key=header.count)
