"""JSON Lines and JSON arrays of documents: our own shape, and the shapes of common annotation tools.

Our shape is `{"id", "text", "mentions": [{"start", "end", "text", "label", "score", "votes"}], "tokens": [[s, e]],
"meta"}`. Mentions are also found under `spans` (Prodigy, Presidio), `entities` (spaCy, doccano) and `label` or `labels`
(doccano: `[[start, end, label]]`). What no reader knows is kept in `meta`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO

from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.types import Document, Mention, Span

_TEXT_KEYS = ("text", "full_text", "content", "sentence", "data")
_MENTION_KEYS = ("mentions", "spans", "entities", "labels", "label")
_START_KEYS = ("start", "start_offset", "start_position", "begin")
_END_KEYS = ("end", "end_offset", "end_position")
_LABEL_KEYS = ("label", "entity_type", "entity_group", "type")
_SURFACE_KEYS = ("text", "entity_value")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_BEYOND_PYTHON = (ValueError, RecursionError)
"""What its JSON parser says of a number with thousands of digits, and of brackets within thousands of brackets."""


def read_lines(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """The documents of a JSON Lines file, one at a time; blank lines are skipped.

    A document without an id is called `<name>:<line>`.

    Raises:
        DataError: a line is no JSON object, has no text, or a mention that is not where it says.
    """
    for number, line in source.lines():
        if line.strip():
            try:
                yield from_json(json.loads(line), f"{source.name}:{number}")
            except json.JSONDecodeError as error:
                problem = f"no JSON: {error.msg} at column {error.colno}; write one JSON object a line"
                raise DataError(problem, source.place, number) from error
            except _BEYOND_PYTHON as error:
                raise DataError(f"no JSON that can be read: {error}", source.place, number) from error
            except DataError as error:
                raise DataError(error.problem, source.place, number) from error


def read_array(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """The documents of a JSON array, or the one document of a JSON object. The file is held in memory.

    A document without an id is called `<name>:<its place in the array, from 1>`.

    Raises:
        DataError: as for `read_lines`.
    """
    yield from each(source, "document", lambda item, usual: [from_json(item, usual)])


def each(source: Source, what: str, made: Callable[[object, str], Iterable[Document]]) -> Iterator[Document]:
    """The documents of a JSON array's items, or of one object; an error says which item, and its line.

    Args:
        source: of the JSON.
        what: an item is called.
        made: item and usual id -> its documents, or a DataError that names no place.

    Raises:
        DataError: no JSON, or what `made` raises.
    """
    text, line, seen = source.text(), 1, 0
    for number, (start, item) in enumerate(_items(text, source), 1):
        line, seen = line + text.count("\n", seen, start), start
        try:
            yield from made(item, f"{source.name}:{number}")
        except DataError as error:
            raise DataError(f"{what} {number}: {error.problem}", source.place, line) from error


def from_json(record: object, default_id: str) -> Document:
    """One document from its JSON value.

    Args:
        record: the parsed JSON.
        default_id: its id, where it has none.

    Raises:
        DataError: it is no document; the error names no file.
    """
    if not isinstance(record, dict):
        raise DataError(f"a document is a JSON object, not {_kind(record)}")
    rest = dict(record)
    text = _text(rest)
    mentions = tuple(_mention(m, i, text) for i, m in enumerate(_mention_list(rest), 1))
    tokens = tuple(_token(t, i, text) for i, t in enumerate(list_of(rest.pop("tokens", None), "tokens"), 1))
    given = rest.pop("id", None)
    if given is not None and (not isinstance(given, (str, int)) or isinstance(given, bool)):
        raise DataError(f"`id` must be a string or an integer, not {_kind(given)}")
    meta = rest.pop("meta", None)
    if isinstance(meta, dict):
        rest |= meta
    elif meta is not None:
        rest["meta"] = meta
    if given or rest:
        check_whole(json.dumps([given, rest], ensure_ascii=False), "what stands beside the text")
    return Document(default_id if given is None else str(given), text, mentions, tokens, rest)


def to_json(document: Document) -> dict[str, Any]:
    """The document in our own shape; a mention's score and votes, and tokens and meta, only where there are any."""
    record: dict[str, Any] = {"id": document.id, "text": document.text}
    record["mentions"] = [_mention_json(m) for m in document.mentions]
    if document.tokens:
        record["tokens"] = [[t.start, t.end] for t in document.tokens]
    if document.meta:
        record["meta"] = dict(document.meta)
    return record


def write_lines(documents: Iterable[Document], stream: TextIO) -> None:
    """One JSON object a line."""
    for document in documents:
        stream.write(json.dumps(to_json(document), ensure_ascii=False) + "\n")


def write_array(documents: Iterable[Document], stream: TextIO) -> None:
    """One JSON array, one document a line."""
    before = "[\n"
    for document in documents:
        stream.write(before + json.dumps(to_json(document), ensure_ascii=False))
        before = ",\n"
    stream.write("\n]\n" if before == ",\n" else "[]\n")


def _items(text: str, source: Source) -> Iterator[tuple[int, object]]:
    """The members of a JSON array with the place where each begins, parsed one at a time."""
    decoder, blank = json.JSONDecoder(), re.compile(r"[ \t\r\n]*")
    position = _skip(text, 0, blank)
    in_array = text[position : position + 1] == "["
    position = _skip(text, position + in_array, blank)
    while text[position : position + 1] != "]" or not in_array:
        try:
            item, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise DataError(f"no JSON: {error.msg} at column {error.colno}", source.place, error.lineno) from error
        except _BEYOND_PYTHON as error:
            line = text.count("\n", 0, position) + 1
            raise DataError(f"no JSON that can be read: {error}", source.place, line) from error
        yield position, item
        position = _skip(text, end, blank)
        if not in_array:
            break
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1, blank)
        elif text[position : position + 1] != "]":
            line = text.count("\n", 0, position) + 1
            raise DataError("no JSON: a comma or ']' is missing here; is the file complete?", source.place, line)
    if text[position + in_array :].strip():
        line = text.count("\n", 0, position) + 1
        raise DataError("something follows the JSON; for one object a line name the format jsonl", source.place, line)


def _skip(text: str, position: int, blank: re.Pattern[str]) -> int:
    match = blank.match(text, position)
    return match.end() if match else position


def _text(rest: dict[str, Any]) -> str:
    key = next((k for k in _TEXT_KEYS if isinstance(rest.get(k), str)), None)
    if key is None:
        tool = "; is this of Label Studio? name the format label-studio" if isinstance(rest.get("data"), dict) else ""
        raise DataError(f"there is no text; a document has a string under one of {', '.join(_TEXT_KEYS)}{tool}")
    text: str = rest.pop(key)
    check_whole(text, "the text")
    return text


def check_whole(text: str, what: str) -> None:
    """Raise DataError where a text holds half of a character, which no file can."""
    if half := _HALF_PAIR.search(text):
        raise DataError(
            f"{what} holds half of a surrogate pair, \\u{ord(half[0]):04x}, at {half.start()}; "
            "write whole characters, and offsets in code points"
        )


def _mention_list(rest: dict[str, Any]) -> list[Any]:
    """Takes the mentions out of `rest`; a plain string or number under `label` is no mention and stays."""
    for key in _MENTION_KEYS:
        if key in rest and rest[key] is None:
            del rest[key]
        elif key in rest and _holds_mentions(rest[key], key):
            return list_of(rest.pop(key), key)
    return []


def _holds_mentions(value: object, key: str) -> bool:
    if key in ("mentions", "spans", "entities"):
        return True
    return isinstance(value, list) and all(isinstance(v, (list, dict)) for v in value)


def list_of(value: object, key: str) -> list[Any]:
    """The value of a key that holds a list or nothing; DataError where it is anything else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise DataError(f"`{key}` must be a list, not {_kind(value)}")
    return value


def _mention(value: object, number: int, text: str) -> Mention:
    where = f"mention {number}"
    if isinstance(value, list) and len(value) == 3:
        value = dict(zip(("start", "end", "label"), value, strict=True))
    if not isinstance(value, dict):
        raise DataError(f"{where}: a mention is an object with start, end and label, or a list of these three")
    label = _first(value, _LABEL_KEYS)
    if not isinstance(label, str) or not label.strip():
        raise DataError(f"{where}: the label must be a string that is not blank, not {label!r}")
    check_whole(label, f"{where}: the label")
    span = _span(_first(value, _START_KEYS), _first(value, _END_KEYS), where, text)
    surface = _first(value, _SURFACE_KEYS)
    if surface is not None and surface != span.slice(text):
        raise DataError(
            f"{where} says {surface!r}, but the text has {span.slice(text)!r} at [{span.start}, {span.end}); "
            "offsets count code points from 0, the end is exclusive"
        )
    score = score_of(value.get("score"), where)
    return Mention(span.start, span.end, label, span.slice(text), score, _votes(value, where))


def _span(start: object, end: object, where: str, text: str) -> Span:
    if type(start) is not int or type(end) is not int:
        raise DataError(f"{where}: start and end must be integers, not {start!r} and {end!r}")
    if not 0 <= start < end <= len(text):
        raise DataError(f"{where}: [{start}, {end}) is no range of a text of {len(text)} characters")
    return Span(start, end)


def score_of(score: object, where: str) -> float | None:
    """A mention's score as a number; DataError where it is none."""
    if score is not None and (isinstance(score, bool) or not isinstance(score, (int, float))):
        raise DataError(f"{where}: the score must be a number, not {score!r}")
    try:
        return None if score is None else float(score)
    except OverflowError as error:
        raise DataError(f"{where}: the score is too large") from error


def _votes(value: Mapping[str, Any], where: str) -> dict[str, str]:
    votes = value.get("votes") or {}
    if not isinstance(votes, dict) or not all(isinstance(v, str) for v in votes.values()):
        raise DataError(f"{where}: votes must map members to labels, not {votes!r}")
    check_whole("".join([*votes, *votes.values()]), f"{where}: votes")
    return votes


def _token(value: object, number: int, text: str) -> Span:
    if isinstance(value, dict):
        value = [value.get("start"), value.get("end")]
    if not isinstance(value, list) or len(value) != 2:
        raise DataError(f"token {number}: a token is [start, end], not {value!r}")
    return _span(value[0], value[1], f"token {number}", text)


def _first(value: Mapping[str, Any], keys: Iterable[str]) -> object:
    return next((value[k] for k in keys if value.get(k) is not None), None)


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


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
