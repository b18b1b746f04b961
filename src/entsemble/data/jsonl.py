"""JSON Lines and JSON arrays of documents: our own shape and those of common annotation tools.

Our shape is `{"id", "text", "mentions": [{"start", "end", "text", "label", "score", "votes"}], "tokens": [[s, e]],
"meta"}`; `mention_shapes` has those of other tools. All other keys go to `meta`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

from entsemble.data.biomedical import bioc
from entsemble.data.class_names import ClassNames
from entsemble.data.json_collections import is_rejected, unfold, warn_of_rejected
from entsemble.data.json_values import (
    check_surrogates,
    describe_type,
    list_value,
    parse_json,
    parse_json_at,
    same_but_whitespace,
    score_value,
    write_json,
)
from entsemble.data.mention_shapes import MENTION_KEYS, TEXT_KEYS, take_mentions, warn_of_unread
from entsemble.data.options import Discontinuous, ReadOptions
from entsemble.data.source import Source
from entsemble.data.uima import cas
from entsemble.data.word_records import with_text
from entsemble.errors import DataError
from entsemble.types import Document, Mention, Span

DOCUMENT_KEYS = frozenset(("id", "tokens", "words", "meta", "answer", *TEXT_KEYS, *MENTION_KEYS))
"""All keys of a document that are not simply added to its meta."""

_HINTS = {
    "text": "; of a table, write each row as an object (in pandas: orient='records')",
    "columns": "; of a table, write each row as an object (in pandas: orient='records')",
    "data": "; for an export of Label Studio, name the format label-studio",
    "task": "; for an export of Label Studio, name the format label-studio",
    "documents": "; BioC has a list of documents with passages; of other lists, write each document by itself",
    "passages": "; in BioC and BigBio, passages are objects with `text` and `offset`",
    "annotatable": "; tagtog has the texts in files of their own: export the documents with their texts",
    "sentences": "; of CoreNLP's and Stanza's results, take a format with the text, such as CoNLL-U",
    "paragraphs": "; if spaCy 2 was trained on this, run `python -m spacy convert` first",
    "conversations": "; conversations, such as UniversalNER's, have no offsets: write them as text and mentions",
    "messages": "; conversations have no offsets: write them as text and mentions",
    "output": "; answers without offsets cannot be placed: write them as text and mentions",
}
"""Key of a list or an object without a text -> the tool that it is from."""

_NO_NAMES = ClassNames()

_WHITESPACE = re.compile(r"[ \t\r\n]*")
_PARSER_LIMITS = (ValueError, RecursionError)
"""Raised by Python's JSON parser for numbers with thousands of digits, and for brackets nested thousands deep."""


def read_lines(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The documents of a JSON Lines file, one at a time; blank lines are skipped.

    A document without an id is called `<name>:<line>`. Examples that were rejected in Prodigy are left out, with a
    warning.

    Raises:
        DataError: a line is not a JSON object, has no text, or a mention's text is not at its offsets.
    """
    is_warned, left_out, names = False, 0, ClassNames(source.path)
    for line_number, record in read_records(source):
        if is_rejected(record):
            left_out += 1
            continue
        try:
            documents = _documents(record, f"{source.name}:{line_number}", names, options)
        except DataError as error:
            raise DataError(error.problem, source.place, line_number) from error
        except _PARSER_LIMITS as error:
            raise DataError(_limit_problem(error), source.place, line_number) from error
        first = next(iter(documents), None)
        is_warned = is_warned or warn_of_unread(first, record, f"{source.place}:{line_number}")
        yield from documents
    warn_of_rejected(left_out, source)


def read_records(source: Source) -> Iterator[tuple[int, Any]]:
    """Line numbers and the JSON values of a JSON Lines file; blank lines are skipped.

    Raises:
        DataError: a line is not JSON.
    """
    for line_number, line in source.lines():
        if line.strip():
            try:
                yield line_number, parse_json(line)
            except json.JSONDecodeError as error:
                problem = f"not valid JSON: {error.msg} at column {error.colno}; write one JSON object per line"
                raise DataError(problem, source.place, line_number) from error
            except _PARSER_LIMITS as error:
                raise DataError(_limit_problem(error), source.place, line_number) from error
            except DataError as error:
                raise DataError(error.problem, source.place, line_number) from error


def _limit_problem(error: Exception) -> str:
    return f"this JSON cannot be parsed: {error}; correct the value"


def read_array(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The documents of a JSON array, or the one document of a JSON object. The file is held in memory.

    A document without an id is called `<name>:<position in the array, from 1>`.

    Raises:
        DataError: as for `read_lines`.
    """
    left_out, names = 0, ClassNames(source.path)

    def to_documents(value: object, default_id: str) -> list[Document]:
        nonlocal left_out
        if is_rejected(value):
            left_out += 1
            return []
        return _documents(value, default_id, names, options)

    yield from read_items(source, "document", to_documents)
    warn_of_rejected(left_out, source)


def _documents(value: object, default_id: str, names: ClassNames, options: ReadOptions) -> list[Document]:
    """The document of a JSON value, or those in it."""
    values, names = unfold(value, names)
    if values is None:
        return [from_json(value, default_id, options.discontinuous, names)]
    return [
        from_json(item, f"{default_id}.{number}", options.discontinuous, names) for number, item in enumerate(values, 1)
    ]


def read_items(
    source: Source, item_name: str, to_documents: Callable[[object, str], Iterable[Document]]
) -> Iterator[Document]:
    """The documents of a JSON array's items, or of a single object.

    Args:
        source: the JSON.
        item_name: what an item is called in error messages, which name the item and its line.
        to_documents: returns the documents of an item and its default id, or raises a DataError without a place.

    Raises:
        DataError: the source is not valid JSON, or `to_documents` raised it.
    """
    text, line, counted_until, is_warned = source.text(), 1, 0, False
    for item_number, (start, item) in enumerate(_array_items(text, source), 1):
        line, counted_until = line + text.count("\n", counted_until, start), start
        try:
            for document in to_documents(item, f"{source.name}:{item_number}"):
                place = f"{source.place}:{line}"
                is_warned = is_warned or warn_of_unread(document, item, place)
                yield document
        except DataError as error:
            raise DataError(f"{item_name} {item_number}: {error.problem}", source.place, line) from error
        except _PARSER_LIMITS as error:
            raise DataError(f"{item_name} {item_number}: {_limit_problem(error)}", source.place, line) from error


def from_json(
    value: object, default_id: str, discontinuous: Discontinuous = "error", names: ClassNames = _NO_NAMES
) -> Document:
    """The document of a JSON value.

    Args:
        value: the parsed JSON.
        default_id: the document's id if the value has none.
        discontinuous: what to do with an annotation of BioC in several pieces.
        names: of tags that are numbers.

    Raises:
        DataError: it is not a document; the message names no file.
    """
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict):  # as spaCy 2 was trained on
        value = {**value[1], "text": value[0]}
    if not isinstance(value, dict):
        raise DataError(f"a document is a JSON object, not {describe_type(value)}")
    other_values = dict(with_text(bioc.with_text(cas.with_text(value), discontinuous), names))
    text = _take_text(other_values)
    mentions = tuple(_mention(item, number, text) for number, item in enumerate(take_mentions(other_values), 1))
    token_values = _take_tokens(other_values)
    tokens = tuple(_token(item, number, text) for number, item in enumerate(token_values, 1))
    document_id = other_values.pop("id", None)
    if document_id is not None and (not isinstance(document_id, (str, int)) or isinstance(document_id, bool)):
        raise DataError(f"`id` must be a string or an integer, not {describe_type(document_id)}")
    meta = other_values.pop("meta", None)
    if isinstance(meta, dict):
        other_values |= meta
    elif meta is not None:
        other_values["meta"] = meta
    if document_id or other_values:
        check_surrogates(write_json([document_id, other_values], default_id), "the id or a value besides the text")
    return Document(default_id if document_id is None else str(document_id), text, mentions, tokens, other_values)


def to_json(document: Document) -> dict[str, Any]:
    """The document in our own shape; scores, votes, tokens and meta only if there are any."""
    record: dict[str, Any] = {"id": document.id, "text": document.text}
    record["mentions"] = [_mention_json(mention) for mention in document.mentions]
    if document.tokens:
        record["tokens"] = [[token.start, token.end] for token in document.tokens]
    if document.meta:
        record["meta"] = dict(document.meta)
    return record


def write_lines(documents: Iterable[Document], stream: TextIO) -> None:
    """One JSON object per line."""
    for document in documents:
        stream.write(write_json(to_json(document), document.id) + "\n")


def write_array(documents: Iterable[Document], stream: TextIO) -> None:
    """A JSON array with one document per line."""
    write_items(documents, to_json, stream)


def write_items(documents: Iterable[Document], to_value: Callable[[Document], object], stream: TextIO) -> None:
    """A JSON array with the value of one document per line."""
    separator = "[\n"
    for document in documents:
        stream.write(separator + write_json(to_value(document), document.id))
        separator = ",\n"
    stream.write("\n]\n" if separator == ",\n" else "[]\n")


def _array_items(text: str, source: Source) -> Iterator[tuple[int, object]]:
    """The items of a JSON array, or a single value, with their start offsets; parsed one at a time."""
    position = _skip_whitespace(text, 0)
    in_array = text[position : position + 1] == "["
    position = _skip_whitespace(text, position + in_array)
    while text[position : position + 1] != "]" or not in_array:
        try:
            item, end = parse_json_at(text, position)
        except json.JSONDecodeError as error:
            problem = f"not valid JSON: {error.msg} at column {error.colno}"
            raise DataError(problem, source.place, error.lineno) from error
        except (*_PARSER_LIMITS, DataError) as error:
            line = text.count("\n", 0, position) + 1
            problem = error.problem if isinstance(error, DataError) else _limit_problem(error)
            raise DataError(problem, source.place, line) from error
        yield position, item
        position = _skip_whitespace(text, end)
        if not in_array:
            break
        if text[position : position + 1] == ",":
            position = _skip_whitespace(text, position + 1)
        elif text[position : position + 1] != "]":
            line = text.count("\n", 0, position) + 1
            problem = "not valid JSON: a comma or ']' is missing here; is the file complete?"
            raise DataError(problem, source.place, line)
    if text[position + in_array :].strip():
        line = text.count("\n", 0, position) + 1
        problem = "there is text after the JSON value; if each line is an object, name the format jsonl"
        raise DataError(problem, source.place, line)


def _skip_whitespace(text: str, position: int) -> int:
    match = _WHITESPACE.match(text, position)
    return match.end() if match else position


def _take_text(other_values: dict[str, Any]) -> str:
    """The text, which is removed from `other_values`."""
    key = next((key for key in TEXT_KEYS if isinstance(other_values.get(key), str)), None)
    if key is None:
        hint = next((hint for key, hint in _HINTS.items() if isinstance(other_values.get(key), (dict, list))), "")
        raise DataError(f"there is no text; a document has a string under one of {', '.join(TEXT_KEYS)}{hint}")
    text: str = other_values.pop(key)
    check_surrogates(text, "the text")
    return text


def _take_tokens(other_values: dict[str, Any]) -> list[Any]:
    """The token ranges, which are removed from `other_values`; tokens that are words stay there."""
    values = other_values.get("tokens")
    if isinstance(values, list) and values and all(isinstance(value, str) for value in values):
        return []
    return list_value(other_values.pop("tokens", None), "tokens")


def _mention(value: dict[str, Any], number: int, text: str) -> Mention:
    mention_name, label, surface = f"mention {number}", value["label"], value["text"]
    if not isinstance(label, str) or not label.strip():
        raise DataError(f"{mention_name}: the label must be a string that is not blank, not {label!r}")
    check_surrogates(label, f"{mention_name}: the label")
    span = _span(value["start"], value["end"], mention_name, text)
    actual = span.slice(text)
    is_same = surface == actual or (value["is_loose"] and same_but_whitespace(actual, str(surface)))
    if surface is not None and not is_same:
        raise DataError(
            f"{mention_name} says {surface!r}, but the text has {actual!r} at [{span.start}, {span.end}); "
            "offsets count code points from 0, the end is exclusive"
        )
    score = score_value(value["score"], mention_name)
    return Mention(span.start, span.end, label, actual, score, _votes(value, mention_name))


def _span(start: object, end: object, value_name: str, text: str) -> Span:
    if type(start) is not int or type(end) is not int:
        raise DataError(f"{value_name}: start and end must be integers, not {start!r} and {end!r}")
    if not 0 <= start < end <= len(text):
        raise DataError(f"{value_name}: [{start}, {end}) is not a range of a text of {len(text)} characters")
    return Span(start, end)


def _votes(value: dict[str, Any], mention_name: str) -> dict[str, str]:
    votes = value.get("votes") or {}
    if not isinstance(votes, dict) or not all(isinstance(label, str) for label in votes.values()):
        raise DataError(f"{mention_name}: votes must map members to labels, not {votes!r}")
    check_surrogates("".join([*votes, *votes.values()]), f"{mention_name}: votes")
    return votes


def _token(value: object, number: int, text: str) -> Span:
    if isinstance(value, dict):
        value = [value.get("start"), value.get("end")]
    if not isinstance(value, list) or len(value) != 2:
        raise DataError(f"token {number}: a token is [start, end], not {value!r}")
    return _span(value[0], value[1], f"token {number}", text)


def _mention_json(mention: Mention) -> dict[str, Any]:
    record: dict[str, Any] = {
        "start": mention.start,
        "end": mention.end,
        "text": mention.text,
        "label": mention.label,
    }
    if mention.score is not None:
        record["score"] = mention.score
    if mention.votes:
        record["votes"] = dict(mention.votes)
    return record
