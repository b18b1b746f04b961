"""Writes CoNLL: token, TAB, and a column of IOB2 tags per level of nesting, the outermost first.

A document with tokens is one sentence. Others are split into sentences that split no mention, and into words: runs of
letters and digits, single punctuation characters, single characters of scripts without spaces. Mentions always start
and end at a word boundary, so none is lost. Of the text, only the whitespace is lost. CoNLL cannot store scores, votes
and meta.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from tempfile import TemporaryFile
from typing import TextIO

from entsemble._lib.text import UNSPACED_SCRIPTS
from entsemble.data.conll import tags
from entsemble.data.conll.layout import DOCUMENT_MARKER
from entsemble.data.conll.tags import TokenRange
from entsemble.data.windows import split_document
from entsemble.errors import DataError
from entsemble.types import Document, Span

_WORD = re.compile(
    rf"[{UNSPACED_SCRIPTS}][\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\ufe00-\ufe0f]*"
    rf"|(?:(?![{UNSPACED_SCRIPTS}])[\w\u0300-\u036f\u0900-\u0dff\u200c\u200d])+"
    r"|\S"
)
_UNWRITABLE = re.compile(r"[\t\n\r]")


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """All documents; one that was split into sentences is preceded by a `-DOCSTART-` line.

    Raises:
        DataError: a label contains a TAB or a line end, or a mention is blank.
    """
    with TemporaryFile("w+", encoding="utf-8", newline="\n") as temporary:
        max_levels = 1
        for document in documents:
            for row in _rows(document):
                max_levels = max(max_levels, row.count("\t"))
                temporary.write(row + "\n")
        temporary.seek(0)
        for line in temporary:
            row = line.rstrip("\n")
            missing_levels = max_levels - row.count("\t") if row else 0
            stream.write(row + "\tO" * missing_levels + "\n")


def split_words(text: str, edges: Iterable[int] = ()) -> list[Span]:
    """The words of a text of any script, none of which crosses one of the offsets in `edges`."""
    boundaries = sorted({0, len(text), *edges})
    return [
        Span(start + match.start(), start + match.end())
        for start, end in pairwise(boundaries)
        for match in _WORD.finditer(text[start:end])
    ]


def _rows(document: Document) -> Iterator[str]:
    for mention in document.mentions:
        if not mention.text.strip():
            raise DataError(f"document {document.id!r}: a blank {mention.label} cannot be written as CoNLL")
        if _UNWRITABLE.search(mention.label):
            raise DataError(f"CoNLL cannot store the label {mention.label!r}; rename it without TABs and line ends")
    if not document.tokens:
        yield DOCUMENT_MARKER + "\tO"
        yield ""
    for sentence in [document] if document.tokens else split_document(document):
        yield from _sentence_rows(sentence)
        yield ""


def _sentence_rows(document: Document) -> Iterator[str]:
    token_spans = _token_spans(document)
    starts, ends = [span.start for span in token_spans], [span.end for span in token_spans]
    ranges = [
        TokenRange(bisect_left(starts, mention.start), bisect_right(ends, mention.end), mention.label)
        for mention in document.mentions
    ]
    tag_columns = [tags.encode(level, len(token_spans)) for level in _nesting_levels(ranges)]
    for span, *row_tags in zip(token_spans, *tag_columns, strict=True):
        yield "\t".join([span.slice(document.text), *row_tags])


def _token_spans(document: Document) -> list[Span]:
    """The document's tokens, split where mentions start and end, and the words between them."""
    edges = sorted({edge for mention in document.mentions for edge in (mention.start, mention.end)})
    text, position = document.text, 0
    spans: list[Span] = []
    for token in sorted(document.tokens):
        words = split_words(text[position : token.start], _inner_edges(edges, position, token.start))
        spans += [word.shifted(position) for word in words]
        boundaries = [0, *_inner_edges(edges, token.start, token.end), len(token)]
        for start, end in pairwise(boundaries):
            spans += _writable_spans(text, token.start + start, token.start + end)
        position = max(position, token.end)
    words = split_words(text[position:], _inner_edges(edges, position, len(text)))
    return spans + [word.shifted(position) for word in words]


def _inner_edges(edges: Sequence[int], start: int, end: int) -> list[int]:
    """Those of the sorted edges that lie within a range, counted from its start."""
    return [edge - start for edge in edges[bisect_right(edges, start) : bisect_left(edges, end)]]


def _writable_spans(text: str, start: int, end: int) -> list[Span]:
    """A token without surrounding whitespace, split at the TABs and line ends in it."""
    matches = re.finditer(r"\S(?:[^\t\n\r]*\S)?", text[start:end])
    return [Span(start + match.start(), start + match.end()) for match in matches]


def _nesting_levels(ranges: Iterable[TokenRange]) -> list[list[TokenRange]]:
    """The ranges on as few levels as possible, longer ones first; the ranges of a level do not overlap."""
    levels: list[list[TokenRange]] = [[]]  # each sorted
    for current in sorted(set(ranges), key=lambda item: (item.first - item.end, item.first, item.label)):
        for level in levels:
            position = bisect_left(level, current.first, key=lambda item: item.first)
            ends_before = position == 0 or level[position - 1].end <= current.first
            if ends_before and (position == len(level) or current.end <= level[position].first):
                level.insert(position, current)
                break
        else:
            levels.append([current])
    return levels
