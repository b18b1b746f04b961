"""CSV and TSV tables with a header and a column of texts.

A table may have mentions: a row for each, with columns of starts, ends and labels, where rows with the same text are
one document; or a list of all in one column, as JSON or as Python writes it.

In CSV, quotation marks enclose cells. In TSV, they usually are a part of the text: a cell is unquoted only where that
alone makes sense, see `_tsv_rows`.
"""

from __future__ import annotations

import ast
import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from entsemble.data import word_tables
from entsemble.data.json_values import DuplicateKeyError, parse_json, unique_object
from entsemble.data.jsonl import from_json
from entsemble.data.mention_shapes import END_KEYS, LABEL_KEYS, START_KEYS
from entsemble.data.mention_tables import MENTION_HEADER, NAME_HEADER
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.data.word_records import with_split_tags
from entsemble.errors import DataError, warn
from entsemble.types import Document, Mention, mention_at

TEXT_HEADERS = ("text", "content", "sentence", "body", "message", "full_text", "tweet", "document")
ID_HEADERS = ("id", "doc_id", "document_id", "text_id", "uid", "uuid")

_DELIMITERS = {"csv": ",;\t|", "tsv": "\t"}


ANNOTATION_HEADERS = ("mentions", "entities", "spans", "annotations", "ents")
_LABEL_HEADERS = ("label", "labels")
"""Columns that are also called so if they hold one label for the whole text; only a list in them is mentions."""

_PARSER_ERRORS = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError)
"""What the parsers of Python and JSON raise for a cell that is neither."""

_SEPARATOR_LINE = re.compile(r"sep=.\s*")
"""What Excel writes before the header."""

_FRACTION = re.compile(r"\.0+$")
"""What a column of integers gets when pandas knows no value for some rows."""

_NUMPY_LIST = re.compile(r"\[(?:'[^'\\]*'|\"[^\"\\]*\"|[0-9]+)(?:\s+(?:'[^'\\]*'|\"[^\"\\]*\"|[0-9]+))+\s*\]")
"""An array of strings or numbers as pandas writes it, without commas."""

_BETWEEN_ITEMS = re.compile(r"('[^']*'|\"[^\"]*\"|[0-9]+)(?=\s)\s+(?!\])")
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
    """Each row as a document; columns other than text, id and mentions become its meta.

    Rows of one mention each, with the same id and text, are one document, whose meta is that of the first. A row
    without an id is called `<name>:<line>`. Blank rows are skipped.

    Raises:
        DataError: there is no header or no column of texts, a row has too few or too many cells, a quotation mark is
            not closed, or a mention is not in its text.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    lines = source.lines()
    _, first_line = next(lines, (0, ""))
    if _SEPARATOR_LINE.fullmatch(first_line):
        _, first_line = next(lines, (0, ""))
    if not first_line.strip():
        raise DataError("there is no header; the first line must name the columns", source.place, 1)
    delimiter = _delimiter(first_line, table_format)
    try:
        header = [column_name.strip() for column_name in next(csv.reader([first_line], delimiter=delimiter), [])]
    except csv.Error as error:
        problem = f"not valid {table_format.upper()}: {error}; lines must end with a line feed"
        raise DataError(problem, source.place, 1) from error
    if tuple(header) in (MENTION_HEADER, NAME_HEADER):
        problem = "entsemble wrote this table, whose rows are results and not whole texts"
        raise DataError(f"{problem}; give the texts, or results as .jsonl", source.place, 1)
    if repeated := next((name for name, count in Counter(header).items() if name and count > 1), None):
        problem = f"two columns are called {repeated!r}; rename one of them"
        raise DataError(problem, source.place, 1)
    text_column = _find_column(header, options.text_column, TEXT_HEADERS, source)
    is_tsv = table_format == "tsv" and len(header) > 1 and '"' not in first_line
    numbered_rows = _tsv_rows(lines, len(header)) if is_tsv else _csv_rows(lines, delimiter, table_format, source)
    word_columns = word_tables.find_columns(header) if text_column is None else None
    if word_columns:
        yield from word_tables.read_rows(numbered_rows, header, word_columns, parse_list, source)
        return
    if text_column is None:
        columns = ", ".join(header)
        problem = f"no column has a usual name of texts; call it {TEXT_HEADERS[0]!r}. The columns are: {columns}"
        raise DataError(problem, source.place, 1)
    id_column = _find_column(header, options.id_column, ID_HEADERS, source)
    span_columns = _find_span_columns(header)
    numbered_documents = (
        (line_number, _document(row, header, (text_column, id_column), source, line_number))
        for line_number, row in numbered_rows
        if any(cell.strip() for cell in row)
    )
    if span_columns:
        yield from _joined_rows(numbered_documents, span_columns, source)
    else:
        yield from _with_lists(numbered_documents, source)


def _find_span_columns(header: Sequence[str]) -> tuple[str, str, str] | None:
    """The names of the columns of starts, ends and labels, if there are all three."""
    start, end, label = (_usual_name(header, keys) for keys in (START_KEYS, END_KEYS, LABEL_KEYS))
    return (start, end, label) if start and end and label else None


def _joined_rows(
    numbered_rows: Iterable[tuple[int, Document]], columns: tuple[str, str, str], source: Source
) -> Iterator[Document]:
    """The documents of rows that have one mention each, or none where its start is blank."""
    waiting: Document | None = None
    for line_number, row in numbered_rows:
        mention = _row_mention(row, columns, source, line_number)
        if waiting and waiting.text == row.text and row.id in (waiting.id, f"{source.name}:{line_number}"):
            waiting = replace(waiting, mentions=(*waiting.mentions, *mention))
            continue
        if waiting:
            yield waiting
        meta = {key: value for key, value in row.meta.items() if key not in columns}
        waiting = replace(row, mentions=mention, meta=meta)
    if waiting:
        yield waiting


def _row_mention(row: Document, columns: tuple[str, str, str], source: Source, line_number: int) -> tuple[Mention, ...]:
    start, end, label = (row.meta[column].strip() for column in columns)
    start, end = (_FRACTION.sub("", offset) for offset in (start, end))
    if not start:
        return ()
    if not (start.isdecimal() and end.isdecimal() and int(start) < int(end) <= len(row.text) and label):
        problem = f"[{start}, {end}) {label} is not a labelled range of a text of {len(row.text)} characters"
        advice = "offsets count characters of the whole text, which each row must have"
        raise DataError(f"{problem}; {advice}", source.place, line_number)
    return (mention_at(row.text, int(start), int(end), label),)


def _with_lists(numbered_rows: Iterable[tuple[int, Document]], source: Source) -> Iterator[Document]:
    """The documents, with the mentions of a column that lists them."""
    is_warned = False
    for line_number, row in numbered_rows:
        lists = {
            key: _parse_column(key, row.meta[key], source, line_number)
            for key in (_usual_name(row.meta, (name,)) for name in (*ANNOTATION_HEADERS, *_LABEL_HEADERS))
            if key is not None and row.meta[key].strip()
        }
        record = with_split_tags({"text": row.text, **row.meta})
        if tagged_column := next((key for key in row.meta if isinstance(record[key], list)), None):
            tagged = from_json({"text": row.text, "words": record["words"], "tags": record[tagged_column]}, row.id)
            meta = {key: value for key, value in row.meta.items() if key != tagged_column}
            yield replace(row, mentions=tagged.mentions, tokens=tagged.tokens, meta=meta)
            continue
        column = next((key for key, values in lists.items() if values or key.lower() in ANNOTATION_HEADERS), None)
        values = None if column is None else lists[column]
        if column is not None and values is None and not is_warned:
            is_warned = True
            message = f"{source.place}: the column {column!r} becomes meta, because it is no list of mentions"
            warn(f"{message}; if it has annotations, write them as [[start, end, label], ...]")
        if column is None or values is None:
            yield row
            continue
        meta = {key: value for key, value in row.meta.items() if key != column}
        try:
            mentions = from_json({"text": row.text, "mentions": values}, row.id).mentions
        except DataError as error:
            raise DataError(f"{column}: {error.problem}", source.place, line_number) from error
        yield replace(row, mentions=mentions, meta=meta)


def _parse_column(column: str, cell: str, source: Source, line_number: int) -> list[Any] | None:
    try:
        values = parse_list(cell)
        return values if values is None or all(isinstance(item, (list, dict)) for item in values) else None
    except DuplicateKeyError as error:
        raise DataError(f"{column}: {error.problem}", source.place, line_number) from error


def parse_list(cell: str) -> list[Any] | None:
    """The list in a cell, as JSON or as Python or NumPy writes it; `None` for anything else."""
    if _NUMPY_LIST.fullmatch(cell.strip()):
        cell = _BETWEEN_ITEMS.sub(r"\1, ", cell)
    for parse in (parse_json, _parse_python):
        try:
            values = json.loads(json.dumps(parse(cell)))  # tuples become lists
        except DuplicateKeyError:
            raise
        except (*_PARSER_ERRORS, DataError):
            continue
        return values if isinstance(values, list) else None
    return None


def _parse_python(cell: str) -> object:
    """The value of a Python literal; DuplicateKeyError if a dict in it has a key twice."""
    expression = ast.parse(cell.strip(), mode="eval")
    value = ast.literal_eval(expression)
    for node in ast.walk(expression):
        if isinstance(node, ast.Dict):
            unique_object([(ast.literal_eval(key), None) for key in node.keys if key is not None])
    return value


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
    name = _usual_name(header, usual_names)
    return None if name is None else list(header).index(name)


def _usual_name(header: Iterable[str], usual_names: Sequence[str]) -> str | None:
    """The column that has the first of these names, in whatever case."""
    by_name = {name.strip().lower(): name for name in reversed([*header])}
    return next((by_name[name.lower()] for name in usual_names if name.lower() in by_name), None)


def _delimiter(header: str, table_format: str) -> str:
    """The delimiter that is most frequent in the header."""
    return max(_DELIMITERS[table_format], key=header.count)
