"""Words in any script, texts on one line, and whether two texts are the same."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from entsemble.types import Span

_LINE_BREAK = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
_PIECE = re.compile(r"\w+|[^\w\s]")


def one_line(text: str) -> str:
    """`text` with each line break replaced by one space, so that offsets stay the same."""
    return _LINE_BREAK.sub(" ", text)


def same_text_key(text: str) -> str:
    """A key that two texts share if they differ in whitespace and case only."""
    return re.sub(r"\s+", "", text).casefold()


def word_spans(text: str) -> list[Span]:
    """Words and marks, in order.

    Words of scripts without blanks fall into characters: a span may begin and end at any of them. A combining mark
    belongs to what it follows.
    """
    found: list[Span] = []
    for match in _PIECE.finditer(text):
        start, end = match.span()
        inner = () if match[0].isascii() else range(start + 1, end)
        places = [start, *(i for i in inner if is_unspaced(text[i]) or is_unspaced(text[i - 1])), end]
        for piece in pairwise(places):
            if found and found[-1].end == piece[0] and _by_mark(text, piece[0]):
                found[-1] = Span(found[-1].start, piece[1])
            else:
                found.append(Span(*piece))
    return found


def _by_mark(text: str, edge: int) -> bool:
    """Whether a combining mark is what joins the characters on both sides of `edge`."""
    marks = (unicodedata.category(text[i])[0] == "M" for i in (edge - 1, edge))
    return any(marks) and is_inside_word(text, edge)


def is_inside_word(text: str, edge: int) -> bool:
    """Whether the characters on both sides of `edge` belong to one word."""
    if not 0 < edge < len(text):
        return False
    right = text[edge]
    if unicodedata.category(right)[0] == "M":
        return True
    before = edge - 1
    while before > 0 and unicodedata.category(text[before])[0] == "M":
        before -= 1
    left = text[before]
    if not (left.isalnum() and right.isalnum()):
        return False
    return not (is_unspaced(left) or is_unspaced(right))


def is_unspaced(character: str) -> bool:
    """Whether the character's script is written without blanks between words: Han, kana, Thai, Lao, Khmer, Burmese."""
    code = ord(character)
    return (
        0x0E00 <= code <= 0x0EFF
        or 0x1000 <= code <= 0x109F
        or 0x1780 <= code <= 0x17FF
        or 0x3040 <= code <= 0x30FF
        or 0x3400 <= code <= 0x9FFF
        or 0xF900 <= code <= 0xFAFF
        or 0x20000 <= code <= 0x3FFFF
    )
