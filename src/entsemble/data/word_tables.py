"""Tables of words: a row for each word with its tag, or a row for each text with lists of words and tags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from entsemble.data.class_names import ClassNames
from entsemble.data.jsonl import from_json
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.types import Document

_WORD_HEADERS = ("word", "words", "token", "tokens", "form")
_TAG_HEADERS = ("tag", "tags", "ner_tag", "ner_tags", "ner", "ne", "bio", "iob", "label", "labels", "entity")
_SENTENCE_HEADERS = (
    "sentence #",
    "sentence_id",
    "sentence_idx",
    "sent_id",
    "sentence id",
    "doc_id",
    "document_id",
    "id",
)


class WordColumns(NamedTuple):
    """The numbers of columns; of sentences, `None` if there is none."""

    words: int
    tags: int
    sentences: int | None


def find_columns(header: Sequence[str]) -> WordColumns | None:
    """The columns of words, tags and sentences, if the header names the first two."""
    words, tags, sentences = (_find(header, names) for names in (_WORD_HEADERS, _TAG_HEADERS, _SENTENCE_HEADERS))
    return None if words is None or tags is None else WordColumns(words, tags, sentences)


def read_rows(
    rows: Iterable[tuple[int, list[str]]],
    header: Sequence[str],
    columns: WordColumns,
    parse_list: Callable[[str], list[Any] | None],
    source: Source,
) -> Iterator[Document]:
    """The documents of a table: rows of words up to the next sentence or blank row, or each row that has lists.

    Args:
        rows: numbers of lines, and cells.
        header: the names of the columns.
        columns: those of words and tags.
        parse_list: the list in a cell, or `None`.
        source: the file, whose folder may say what numbers stand for.

    Raises:
        DataError: a row has another number of cells, or tags and words do not fit.
    """
    names = ClassNames(source.path)
    words: list[str] = []
    tags: list[str] = []
    first_line, sentence = 0, ""
    for line_number, row in rows:
        if any(cell.strip() for cell in row) and len(row) != len(header):
            problem = f"this row has {len(row)} cells, but the header names {len(header)} columns; quote separators"
            raise DataError(problem, source.place, line_number)
        is_blank = not any(cell.strip() for cell in row)
        lists = None if is_blank else [parse_list(row[column]) for column in columns[:2]]
        if lists and None not in lists:
            yield _document({"words": lists[0], "ner_tags": lists[1]}, line_number, names, source)
            continue
        row_sentence = "" if is_blank or columns.sentences is None else row[columns.sentences].strip()
        if words and (is_blank or (row_sentence and row_sentence != sentence)):
            yield _document({"words": words, "ner_tags": tags}, first_line, names, source)
            words, tags = [], []
        if not is_blank:
            first_line = first_line if words else line_number
            sentence = row_sentence or sentence
            words.append(row[columns.words])
            tags.append(row[columns.tags].strip() or "O")
    if words:
        yield _document({"words": words, "ner_tags": tags}, first_line, names, source)


def _document(record: dict[str, Any], line_number: int, names: ClassNames, source: Source) -> Document:
    try:
        return from_json(record, f"{source.name}:{line_number}", names=names)
    except DataError as error:
        raise DataError(error.problem, source.place, line_number) from error


def _find(header: Sequence[str], names: Sequence[str]) -> int | None:
    folded = [name.strip().lower() for name in header]
    return next((folded.index(name) for name in names if name in folded), None)
