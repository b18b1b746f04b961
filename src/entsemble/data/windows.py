"""Texts of any length as windows that a prompt can hold. Nothing but blanks between windows is left out."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import sentencex

from entsemble.types import Document, Mention, Span

Range = TypeVar("Range", Mention, Span)

MAX_CHARS = 600
"""Longer sentences are split; prompts with several demonstrations must fit small contexts."""

_BLOCK = 1000
"""Characters given to sentencex at once: its time grows with the square of the length on non-Latin text."""

_LONGEST_BLOCK = 16_000
"""A block without a boundary grows up to here."""

_WIDE_BLANK = re.compile(r"[^\S\x00-\x7f](?=\.)")
"""A blank beyond ASCII before a full stop: after a single letter, sentencex panics at it."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a document's text.

    Attributes:
        document: the document's id.
        start: where the window begins in the document's text, in code points.
        text: its characters; `document.text[start : start + len(text)] == text`.
    """

    document: str
    start: int
    text: str

    @property
    def span(self) -> Span:
        """The range of the document's text."""
        return Span(self.start, self.start + len(self.text))


def sentences(text: str, language: str = "en") -> list[Span]:
    """The sentences of `text`, in order, without the blanks around them; together they hold every other character.

    Args:
        text: any length, any script.
        language: an ISO 639-1 code; languages that sentencex does not know are cut by its fallback.
    """
    return [span for start, end in _boundaries(text, language) if (span := _trimmed(text, start, end))]


def windows(document: Document, max_chars: int = MAX_CHARS, language: str = "en") -> list[Window]:
    """One window a sentence; longer ones are split at blanks, or anywhere where there is none.

    A document with tokens came as one sentence and stays one unless it is too long. A text of blanks has no window.
    """
    return [_window(document, span) for span in _pieces(document, max_chars, language)]


def whole_windows(document: Document, max_chars: int = MAX_CHARS, language: str = "en") -> list[Window]:
    """As `windows`, but neighbours that share a mention are one window, so that no mention is cut.

    Such a window can be longer than `max_chars`.
    """
    mentions = [m.span for m in document.mentions if m.text.strip()]
    return [_window(document, span) for span in _merged(_pieces(document, max_chars, language), mentions)]


def window_mentions(document: Document, window: Window) -> tuple[Mention, ...]:
    """The document's mentions that lie wholly in `window`, their offsets counted from its start."""
    span = window.span
    return tuple(m.shifted(-window.start) for m in _within(document.mentions, span) if span.contains(m.span))


def sentence_splitter(language: str = "en") -> Callable[[str], list[str]]:
    """A function that returns the windows of a text, as they would be without its annotation and tokens."""
    return lambda text: [window.text for window in windows(Document("", text), language=language)]


def window_documents(document: Document, max_chars: int = MAX_CHARS, language: str = "en") -> list[Document]:
    """The document in sentences that cut no mention, each a document of its own, as a pool wants them.

    The only window of a document keeps the document's id; several are called `<id>#<start>`. Mentions that begin or
    end with blanks lose these; mentions of blanks alone are left out.
    """
    trimmed = ((_trimmed(document.text, m.start, m.end), m) for m in document.mentions)
    mentions = [
        replace(m, start=span.start, end=span.end, text=span.of(document.text))
        for span, m in trimmed
        if span is not None
    ]
    parts = _merged(_pieces(document, max_chars, language), [m.span for m in mentions])
    whole = replace(document, mentions=tuple(mentions))
    return [_part(whole, part, document.id if len(parts) == 1 else f"{document.id}#{part.start}") for part in parts]


def _part(document: Document, part: Span, identity: str) -> Document:
    return Document(
        identity,
        part.of(document.text),
        tuple(m.shifted(-part.start) for m in _within(document.mentions, part) if part.contains(m.span)),
        tuple(t.shifted(-part.start) for t in _within(document.tokens, part) if part.contains(t)),
        document.meta,
    )


def _within(ranges: Sequence[Range], part: Span) -> Sequence[Range]:
    """Those of `ranges`, sorted by their start, that begin in `part`."""
    return ranges[_first(ranges, part.start) : _first(ranges, part.end)]


def _first(ranges: Sequence[Mention] | Sequence[Span], start: int) -> int:
    return bisect_left(ranges, start, key=lambda r: r.start)


def _window(document: Document, span: Span) -> Window:
    return Window(document.id, span.start, span.of(document.text))


def _pieces(document: Document, max_chars: int, language: str) -> list[Span]:
    if document.tokens and len(document.text) <= max_chars:
        whole = _trimmed(document.text, 0, len(document.text))
        return [whole] if whole else []
    return [p for s in sentences(document.text, language) for p in _split(document.text, s, max_chars)]


def _boundaries(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Ranges that cover `text`; the last sentence of a block is cut again together with what follows it."""
    start, size = 0, _BLOCK
    while start < len(text):
        block = text[start : start + size]
        last_block = start + len(block) == len(text)
        lengths = [len(s) for s in sentencex.segment(language, _WIDE_BLANK.sub(" ", block))]
        if sum(lengths) != len(block):  # never seen; a sentence too long is better than one lost
            lengths = [len(block)]
        if not last_block and len(lengths) == 1 and size < _LONGEST_BLOCK:
            size *= 2
            continue
        done = lengths if last_block or len(lengths) == 1 else lengths[:-1]
        for length in done:
            yield start, start + length
            start += length
        size = _BLOCK


def _trimmed(text: str, start: int, end: int) -> Span | None:
    part = text[start:end]
    left = len(part) - len(part.lstrip())
    right = len(part.rstrip())
    return Span(start + left, start + right) if left < right else None


def _split(text: str, span: Span, max_chars: int) -> Iterator[Span]:
    rest: Span | None = span
    while rest and len(rest) > max_chars:
        cut = _cut(text, rest.start, rest.start + max_chars)
        piece = _trimmed(text, rest.start, cut)
        if piece:
            yield piece
        start = next((i for i in range(cut, rest.end) if not text[i].isspace()), rest.end)
        rest = Span(start, rest.end) if start < rest.end else None
    if rest:
        yield rest


def _cut(text: str, start: int, limit: int) -> int:
    """Where to split before or at `limit`: after the last line end, else the last blank, else anywhere."""
    newline = text.rfind("\n", start + (limit - start) // 2, limit)
    if newline > 0:
        return newline + 1
    for position in range(limit, start, -1):
        if text[position].isspace():
            return position
    return next((p for p in range(limit, max(start, limit - 32), -1) if not _joins(text, p)), limit)


def _joins(text: str, position: int) -> bool:
    """Whether the character at `position` is seen as part of the one before it."""
    around = (text[position - 1], text[position])
    return "\u200d" in around or unicodedata.category(around[1]).startswith("M")


def _merged(pieces: list[Span], mentions: list[Span]) -> list[Span]:
    merged: list[Span] = []
    ordered = sorted(mentions)
    at, reach = 0, 0
    for piece in pieces:
        if merged and reach > piece.start:
            merged[-1] = Span(merged[-1].start, piece.end)
        else:
            merged.append(piece)
        while at < len(ordered) and ordered[at].start < piece.end:
            reach = max(reach, ordered[at].end)
            at += 1
    return merged
