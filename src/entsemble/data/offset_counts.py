"""How offsets of other tools count: code points, UTF-16 code units, UTF-8 bytes, or a CRLF as one character."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

FindCodePoint = Callable[[object], int | None]
"""A function from offsets of a tool to code points; `None` for what is no offset, or lies inside a character."""


def code_points(text: str) -> FindCodePoint:
    """Offsets as they are, if they lie in the text."""
    return lambda offset: offset if type(offset) is int and 0 <= offset <= len(text) else None


def utf16_units(text: str) -> FindCodePoint:
    """Offsets in UTF-16 code units, as Java and JavaScript count: two for an emoji."""
    return _offset_map(text, lambda character, _: 2 if character > "\uffff" else 1)


def utf8_bytes(text: str) -> FindCodePoint:
    """Offsets in bytes of UTF-8."""
    return _offset_map(text, lambda character, _: len(character.encode("utf-8", "surrogatepass")))


def crlf_as_one(text: str) -> FindCodePoint:
    """Offsets in a text whose line ends were one character each."""
    return _offset_map(text, lambda character, after: 0 if character + after == "\r\n" else 1)


def _offset_map(text: str, width: Callable[[str, str], int]) -> FindCodePoint:
    """A function from offsets to code points, where each character, followed by another one, has a width."""
    offsets = [0, *accumulate(map(width, text, [*text[1:], ""]))]
    positions = {offset: position for position, offset in reversed([*enumerate(offsets)])}
    return lambda offset: positions.get(offset) if type(offset) is int else None
