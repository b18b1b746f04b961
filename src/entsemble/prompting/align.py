"""From what a model wrote to where it stands in the text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from entsemble._lib.text import is_inside_word
from entsemble.types import Span

_HIDDEN = frozenset("\u200b\u200c\u200d\u2060\ufeff\u200e\u200f")
"""Characters of no width: joiners, marks of direction, byte order marks."""

_APART = r"[\s\u200b\u200c\u200d\u2060\ufeff\u200e\u200f]+"


def find_occurrences(text: str, surface: str) -> list[Span]:
    """Every place in `text` that `surface` names, in order, none overlapping another.

    Tried in turn, until one finds something: as written; with any run of blanks between its words; in any case; without
    the characters of no width on either side.
    A surface that begins or ends with a letter or digit is not looked for inside a longer word (`MI` is not in
    `family`), except where neighbouring characters belong to scripts that are written without blanks.

    >>> occurrences("MI in the family; MI again", "MI")
    [Span(start=0, end=2), Span(start=18, end=20)]
    """
    surface = surface.strip()
    if not surface:
        return []
    words = [re.escape(word) for word in re.split(_APART, surface) if word]
    exact, loose = re.escape(surface), _APART.join(words)
    for pattern, flags in ((exact, 0), (loose, 0), (loose, re.IGNORECASE)):
        found = _apart(s for s in _matches(pattern, text, flags) if _stands_alone(text, s))
        if found:
            return found
    seen, places = _visible(text)
    if len(seen) == len(text) and _visible(surface)[0] == surface:
        return []
    return [Span(places[s.start], places[s.end - 1] + 1) for s in find_occurrences(seen, _visible(surface)[0])]


def _visible(text: str) -> tuple[str, list[int]]:
    """`text` without what has no width, and where each character left stood."""
    places = [i for i, c in enumerate(text) if c not in _HIDDEN]
    return "".join(text[i] for i in places), places


def _matches(pattern: str, text: str, flags: int) -> Iterator[Span]:
    """All matches, those that overlap included."""
    for match in re.finditer(f"(?=({pattern}))", text, flags):
        if match.end(1) > match.start(1):
            yield Span(*match.span(1))


def _apart(spans: Iterable[Span]) -> list[Span]:
    kept: list[Span] = []
    for span in spans:
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def _stands_alone(text: str, span: Span) -> bool:
    return not (is_inside_word(text, span.start) or is_inside_word(text, span.end))
