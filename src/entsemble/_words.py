"""Where words begin and end, in any script."""

from __future__ import annotations

import re
from itertools import pairwise

from entsemble.types import Span

_WORD = re.compile(r"\w+|[^\w\s]")


def word_spans(text: str) -> list[Span]:
    """Words and marks, in order.

    Words of scripts without blanks fall into characters: a span may begin and end at any of them.
    """
    found = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        if match[0].isascii():
            found.append(Span(start, end))
            continue
        places = [start, *(i for i in range(start + 1, end) if unspaced(text[i]) or unspaced(text[i - 1])), end]
        found += [Span(*place) for place in pairwise(places)]
    return found


def unspaced(character: str) -> bool:
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
