"""Alignment: occurrences of a model's surface in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from entsemble._lib.text import is_inside_word
from entsemble.types import Span

_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u200e\u200f"
"""Zero-width spaces and joiners, direction marks, and the byte order mark."""

_WORD_GAP = rf"[\s{_ZERO_WIDTH}]+"


def find_occurrences(text: str, surface: str) -> list[Span]:
    """All occurrences of `surface` in `text`, in order, without overlaps.

    Tries in turn, until one gives a match: the exact surface; any run of whitespace between its words; any case;
    ignoring zero-width characters in both. A surface that begins or ends with a letter or digit does not match inside a
    longer word (`MI` does not occur in `family`), except in scripts without spaces between words.

    >>> find_occurrences("MI in the family; MI again", "MI")
    [Span(start=0, end=2), Span(start=18, end=20)]
    """
    surface = surface.strip()
    if not surface:
        return []
    if spans := find_exactly(text, surface):  # nearly always, and without a pattern
        return spans
    any_whitespace = _WORD_GAP.join(re.escape(word) for word in re.split(_WORD_GAP, surface) if word)
    for flags in (0, re.IGNORECASE):
        if spans := _find_matches(text, any_whitespace, flags):
            return spans
    visible_text, offsets = _without_zero_width(text)
    visible_surface, _ = _without_zero_width(surface)
    if (visible_text, visible_surface) == (text, surface):
        return []
    visible_spans = find_occurrences(visible_text, visible_surface)
    return [Span(offsets[span.start], offsets[span.end - 1] + 1) for span in visible_spans]


def find_exactly(text: str, surface: str) -> list[Span]:
    """All occurrences of exactly these characters as whole words, in order, without overlaps.

    >>> find_exactly("Ann, ANN and Anna", "Ann")
    [Span(start=0, end=3)]
    """
    spans: list[Span] = []
    start = text.find(surface) if surface else -1
    while start >= 0:
        end = start + len(surface)
        if is_inside_word(text, start) or is_inside_word(text, end):
            start = text.find(surface, start + 1)
        else:
            spans.append(Span(start, end))
            start = text.find(surface, end)
    return spans


def _without_zero_width(text: str) -> tuple[str, list[int]]:
    """`text` without zero-width characters, and the original offset of each remaining character."""
    offsets = [offset for offset, character in enumerate(text) if character not in _ZERO_WIDTH]
    return "".join(text[offset] for offset in offsets), offsets


def _find_matches(text: str, pattern: str, flags: int) -> list[Span]:
    """The matches of whole words, from left to right, without overlaps."""
    spans: list[Span] = []
    for span in _overlapping_matches(text, pattern, flags):
        is_whole_word = not (is_inside_word(text, span.start) or is_inside_word(text, span.end))
        if is_whole_word and (not spans or span.start >= spans[-1].end):
            spans.append(span)
    return spans


def _overlapping_matches(text: str, pattern: str, flags: int) -> Iterator[Span]:
    for match in re.finditer(f"(?=({pattern}))", text, flags):
        if match.end(1) > match.start(1):
            yield Span(*match.span(1))
