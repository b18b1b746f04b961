"""Splits texts of any length into windows that fit into a prompt.

Only the whitespace between windows is left out.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import sentencex

from entsemble._lib.cancellation import until_cancelled
from entsemble.types import Document, Mention, Span

Range = TypeVar("Range", Mention, Span)

MAX_CHARS = 600
"""Longer sentences are split; prompts with several demonstrations must fit into small contexts."""

_BLOCK_CHARS = 1000
"""Characters passed to sentencex at once: its time grows quadratically with the length of non-Latin text."""

_MAX_BLOCK_CHARS = 16_000
"""A block without a sentence boundary grows to at most this length."""

_UNICODE_SPACE = re.compile(r"[^\S\x00-\x7f](?=\.)")
"""A non-ASCII space before a full stop; sentencex panics if it follows a single letter."""

_CLUSTER_CHARS = 32
"""How far before the limit a split looks for the end of a combining sequence."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a document's text.

    Attributes:
        document: the document's id.
        start: offset of the window in the document's text, in code points.
        text: its characters; `document.text[start : start + len(text)] == text`.
    """

    document: str
    start: int
    text: str

    @property
    def span(self) -> Span:
        """The window's range in the document's text."""
        return Span(self.start, self.start + len(self.text))


def sentence_spans(text: str, language: str = "en") -> list[Span]:
    """The sentences of a text in order, without surrounding whitespace; only whitespace lies between them.

    Args:
        text: of any length and script.
        language: an ISO 639-1 code; sentencex has a fallback for languages that it does not support.
    """
    ranges = until_cancelled(_sentence_ranges(text, language))
    return [span for start, end in ranges if (span := _stripped_span(text, start, end))]


def split_windows(document: Document, max_chars: int = MAX_CHARS, language: str = "en") -> list[Window]:
    """One window per sentence; longer sentences are split at whitespace or, if there is none, anywhere.

    A document with tokens is one sentence and is only split if it is too long. Blank texts have no window.
    """
    return [
        Window(document.id, span.start, span.slice(document.text))
        for span in _window_spans(document, max_chars, language)
    ]


def sentence_splitter(language: str = "en") -> Callable[[str], list[str]]:
    """A function that returns the windows of a text, split without regard to any annotation or tokens."""
    return lambda text: [window.text for window in split_windows(Document("", text), language=language)]


def window_spans(document: Document, max_chars: int = MAX_CHARS, language: str = "en") -> list[Span]:
    """The ranges of a document's sentences; neighbours that share a mention are one range, so that it is not cut."""
    mentions = [mention.span for mention in document.mentions]
    return _joined_over_mentions(_window_spans(document, max_chars, language), mentions)


def split_document(document: Document, max_chars: int = MAX_CHARS, language: str = "en") -> list[Document]:
    """The document's sentences as documents, as a pool needs them; neighbours that share a mention stay together.

    A document that is not split keeps its id; the parts of others are called `<id>#<start>`. Mentions lose leading and
    trailing whitespace; blank mentions are left out.
    """
    return split_at(document, _window_spans(document, max_chars, language))


def split_at(document: Document, spans: Sequence[Span]) -> list[Document]:
    """The parts of a document at these ranges, which are sorted; otherwise as `split_document`."""
    stripped = ((_stripped_span(document.text, mention.start, mention.end), mention) for mention in document.mentions)
    mentions = [
        replace(mention, start=span.start, end=span.end, text=span.slice(document.text))
        for span, mention in stripped
        if span is not None
    ]
    source = replace(document, mentions=tuple(mentions))
    part_spans = _joined_over_mentions(spans, [mention.span for mention in mentions])
    if len(part_spans) == 1:
        return [_part(source, part_spans[0], document.id)]
    return [_part(source, span, f"{document.id}#{span.start}") for span in until_cancelled(part_spans)]


def _part(document: Document, span: Span, part_id: str) -> Document:
    mentions, tokens = _starting_in(document.mentions, span), _starting_in(document.tokens, span)
    return Document(
        part_id,
        span.slice(document.text),
        tuple(item.shifted(-span.start) for item in mentions if span.contains(item.span)),
        tuple(token.shifted(-span.start) for token in tokens if span.contains(token)),
        document.meta,
    )


def _starting_in(ranges: Sequence[Range], span: Span) -> Sequence[Range]:
    """The ranges, which are sorted by their start, that start in `span`."""
    return ranges[_first_index(ranges, span.start) : _first_index(ranges, span.end)]


def _first_index(ranges: Sequence[Mention] | Sequence[Span], start: int) -> int:
    return bisect_left(ranges, start, key=lambda item: item.start)


def _window_spans(document: Document, max_chars: int, language: str) -> list[Span]:
    text = document.text
    if document.tokens and len(text) <= max_chars:
        sentence = _stripped_span(text, 0, len(text))
        return [sentence] if sentence else []
    sentences = until_cancelled(sentence_spans(text, language))
    return [span for sentence in sentences for span in _split_span(text, sentence, max_chars)]


def _sentence_ranges(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Ranges that cover `text`; the last sentence of a block is split again together with the text after it."""
    start, block_size = 0, _BLOCK_CHARS
    while start < len(text):
        block = text[start : start + block_size]
        is_last_block = start + len(block) == len(text)
        lengths = [len(sentence) for sentence in sentencex.segment(language, _UNICODE_SPACE.sub(" ", block))]
        if sum(lengths) != len(block):  # has not been observed; better one long sentence than a lost one
            lengths = [len(block)]
        if not is_last_block and len(lengths) == 1 and block_size < _MAX_BLOCK_CHARS:
            block_size *= 2
            continue
        complete_lengths = lengths if is_last_block or len(lengths) == 1 else lengths[:-1]
        for length in complete_lengths:
            yield start, start + length
            start += length
        block_size = _BLOCK_CHARS


def _stripped_span(text: str, start: int, end: int) -> Span | None:
    """The range without surrounding whitespace; `None` if nothing remains."""
    part = text[start:end]
    first = len(part) - len(part.lstrip())
    last = len(part.rstrip())
    return Span(start + first, start + last) if first < last else None


def _split_span(text: str, span: Span, max_chars: int) -> Iterator[Span]:
    remainder: Span | None = span
    while remainder and len(remainder) > max_chars:
        split = _split_position(text, remainder.start, remainder.start + max_chars)
        piece = _stripped_span(text, remainder.start, split)
        if piece:
            yield piece
        start = next(
            (position for position in range(split, remainder.end) if not text[position].isspace()), remainder.end
        )
        remainder = Span(start, remainder.end) if start < remainder.end else None
    if remainder:
        yield remainder


def _split_position(text: str, start: int, limit: int) -> int:
    """Where to split, at most at `limit`: after the last newline, else at the last whitespace, else anywhere."""
    newline = text.rfind("\n", start + (limit - start) // 2, limit)
    if newline > 0:
        return newline + 1
    for position in range(limit, start, -1):
        if text[position].isspace():
            return position
    positions = range(limit, max(start, limit - _CLUSTER_CHARS), -1)
    return next((position for position in positions if not _is_inside_cluster(text, position)), limit)


def _is_inside_cluster(text: str, position: int) -> bool:
    """Whether the character at `position` is displayed as part of the one before it."""
    before, after = text[position - 1], text[position]
    return "\u200d" in (before, after) or unicodedata.category(after).startswith("M")


def _joined_over_mentions(spans: Sequence[Span], mentions: list[Span]) -> list[Span]:
    """The spans, where neighbours that share a mention are one."""
    joined: list[Span] = []
    sorted_mentions = sorted(mentions)
    index, furthest_end = 0, 0
    for span in spans:
        if joined and furthest_end > span.start:
            joined[-1] = Span(joined[-1].start, span.end)
        else:
            joined.append(span)
        while index < len(sorted_mentions) and sorted_mentions[index].start < span.end:
            furthest_end = max(furthest_end, sorted_mentions[index].end)
            index += 1
    return joined
