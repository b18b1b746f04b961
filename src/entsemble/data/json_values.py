"""Checks of parsed JSON values; their error messages name no file."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from entsemble.errors import DataError
from entsemble.types import Document

_SURROGATE = re.compile("[\ud800-\udfff]")
_TYPE_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


def check_surrogates(text: str, name: str) -> None:
    """Raise DataError if a text contains half of a surrogate pair, which cannot be written to a file."""
    if surrogate := _SURROGATE.search(text):
        raise DataError(
            f"{name} contains half of a surrogate pair, \\u{ord(surrogate[0]):04x}, at {surrogate.start()}; "
            "write whole characters, and offsets in code points"
        )


def list_value(value: object, key: str) -> list[Any]:
    """The value of a key that is a list, or an empty list for null; DataError for anything else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise DataError(f"`{key}` must be a list, not {describe_type(value)}")
    return value


def write_json(value: object, document_id: str) -> str:
    """A value as JSON on one line.

    Raises:
        DataError: JSON cannot represent it: a number that is infinite or NaN, an object of Python, too deep nesting.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"document {document_id!r} cannot be written as JSON: {error}; correct its values") from error


class DuplicateKeyError(DataError):
    """An object has a key twice; JSON parsers would keep the last value, and lose the other in silence."""


def parse_json(text: str) -> Any:  # noqa: ANN401 - any JSON
    """The value of a JSON text.

    NaN and Infinity, which are no JSON although Python reads them, are errors; so is a key that an object has twice.

    Raises:
        json.JSONDecodeError: it is not JSON.
        ValueError, RecursionError: a number has thousands of digits, or brackets are nested thousands deep.
        DataError: there is NaN or Infinity in it, or a key twice in one object.
    """
    return _DECODER.decode(text)


def parse_json_at(text: str, position: int) -> tuple[Any, int]:
    """The JSON value that begins at a position, and the position after it; raises as `parse_json` does."""
    return _DECODER.raw_decode(text, position)


def unique_object(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """The object with these keys and values; DuplicateKeyError if a key occurs twice."""
    values = dict(pairs)
    if len(values) != len(pairs):
        key = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise DuplicateKeyError(f"the key {key!r} occurs twice in one object; keep one of them, or rename the other")
    return values


def _refuse_constant(name: str) -> object:
    raise DataError(f"not valid JSON: {name} is not a JSON number; write null, or leave the value out")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=unique_object)


def same_but_whitespace(actual: str, surface: str) -> bool:
    r"""Whether two surfaces differ in whitespace only; tools collapse it, or write `\n` as two characters."""
    return actual == surface or _without_whitespace(actual) == _without_whitespace(surface)


def _without_whitespace(surface: str) -> str:
    return "".join(surface.replace("\\r", " ").replace("\\n", " ").split())


def score_value(score: object, mention_name: str) -> float | None:
    """A mention's score, or `None` for null; DataError for anything but a number."""
    if score is not None and (isinstance(score, bool) or not isinstance(score, (int, float))):
        raise DataError(f"{mention_name}: the score must be a number, not {score!r}")
    if score is not None and not 0 <= score <= 1:  # NaN, too
        number = str(score) if isinstance(score, float) else "too large or negative"
        raise DataError(f"{mention_name}: the score is {number}; a score is between 0 and 1, or null")
    return None if score is None else float(score)


def check_scores(document: Document) -> None:
    """Raise DataError if a score is infinite or NaN; for formats that could store it."""
    for mention in document.mentions:
        if mention.score is not None and not math.isfinite(mention.score):
            problem = f"document {document.id!r}: the score of {mention.text!r} is {mention.score}"
            raise DataError(f"{problem}; a score is between 0 and 1, or None")


def first_value(record: Mapping[str, Any], keys: Iterable[str]) -> object:
    """The value of the first key that has one, or `None`."""
    return next((record[key] for key in keys if record.get(key) is not None), None)


def describe_type(value: object) -> str:
    """The JSON type of a value, for error messages."""
    return _TYPE_NAMES.get(type(value), "a number")
