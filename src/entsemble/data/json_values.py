"""Checks of parsed JSON values; their error messages name no file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from entsemble.errors import DataError

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


def score_value(score: object, mention_name: str) -> float | None:
    """A mention's score, or `None` for null; DataError for anything but a number."""
    if score is not None and (isinstance(score, bool) or not isinstance(score, (int, float))):
        raise DataError(f"{mention_name}: the score must be a number, not {score!r}")
    try:
        return None if score is None else float(score)
    except OverflowError as error:
        raise DataError(f"{mention_name}: the score is too large") from error


def first_value(record: Mapping[str, Any], keys: Iterable[str]) -> object:
    """The value of the first key that has one, or `None`."""
    return next((record[key] for key in keys if record.get(key) is not None), None)


def describe_type(value: object) -> str:
    """The JSON type of a value, for error messages."""
    return _TYPE_NAMES.get(type(value), "a number")
