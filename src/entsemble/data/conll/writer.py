"""Writer of CoNLL: token, TAB, one column of IOB2 tags a level of nesting, the outermost first.

A document with tokens is one sentence. Another is cut into sentences that cut no mention, and into words: runs of
letters and digits, single marks, single characters of scripts without blanks; where a mention begins or ends there is
always a word boundary, so every mention survives. Of the text only the blanks are lost. Scores, votes and meta have no
place in the format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from tempfile import TemporaryFile
from typing import TextIO

from entsemble.data.conll import tags
from entsemble.data.conll.layout import DOCUMENT_MARK
from entsemble.data.conll.tags import TokenRange
from entsemble.data.windows import split_document
from entsemble.errors import DataError
from entsemble.types import Document, Span

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(
    rf"[{_UNSPACED}][\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\ufe00-\ufe0f]*"
    rf"|(?:(?![{_UNSPACED}])[\w\u0300-\u036f\u0900-\u0dff\u200c\u200d])+"
    r"|\S"
)
_UNWRITABLE = re.compile(r"[\t\n\r]")


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """All documents. One that had to be cut into sentences is preceded by a `-DOCSTART-` line.

    Raises:
        DataError: a label that holds a TAB or a line end, or a mention of blanks alone.
    """
    with TemporaryFile("w+", encoding="utf-8", newline="\n") as rows:
        levels = 1
        for document in documents:
            for row in _rows(document):
                levels = max(levels, row.count("\t"))
                rows.write(row + "\n")
        rows.seek(0)
        for line in rows:
            row = line.rstrip("\n")
            stream.write(row + "\tO" * (levels - row.count("\t")) * bool(row) + "\n")


def words(text: str, edges: Iterable[int] = ()) -> list[Span]:
    """The words of a text of any script, none of which crosses one of `edges`."""
    cuts = sorted({0, len(text), *edges})
    return [
        Span(start + m.start(), start + m.end())
        for start, end in pairwise(cuts)
        for m in _WORD.finditer(text[start:end])
    ]


def _rows(document: Document) -> Iterator[str]:
    for mention in document.mentions:
        if not mention.text.strip():
            raise DataError(f"document {document.id!r}: a {mention.label} of blanks alone cannot be written as CoNLL")
        if _UNWRITABLE.search(mention.label):
            raise DataError(f"CoNLL cannot hold the label {mention.label!r}; rename it without TABs and line ends")
    if not document.tokens:
        yield DOCUMENT_MARK + "\tO"
        yield ""
    parts = [document] if document.tokens else split_document(document)
    for part in parts:
        yield from _sentence(part)
        yield ""


def _sentence(document: Document) -> Iterator[str]:
    places = _places(document)
    ranges = [_range(places, m.start, m.end, m.label) for m in document.mentions]
    columns = [tags.encode(level, len(places)) for level in _levels(ranges)]
    for place, *row in zip(places, *columns, strict=True):
        yield "\t".join([place.slice(document.text), *row])


def _places(document: Document) -> list[Span]:
    """The document's own tokens, cut where mentions begin and end; words where it has none."""
    edges = {e for m in document.mentions for e in (m.start, m.end)}
    text, at = document.text, 0
    places: list[Span] = []
    for token in sorted(document.tokens):
        places += [p.shifted(at) for p in words(text[at : token.start], _inside(edges, at, token.start))]
        cuts = [0, *_inside(edges, token.start, token.end), len(token)]
        for start, end in pairwise(cuts):
            places += _visible(text, token.start + start, token.start + end)
        at = max(at, token.end)
    return places + [p.shifted(at) for p in words(text[at:], _inside(edges, at, len(text)))]


def _inside(edges: Iterable[int], start: int, end: int) -> list[int]:
    return sorted(e - start for e in edges if start < e < end)


def _visible(text: str, start: int, end: int) -> list[Span]:
    """A token without the blanks around it, cut at the TABs and line ends in it."""
    return [Span(start + m.start(), start + m.end()) for m in re.finditer(r"\S(?:[^\t\n\r]*\S)?", text[start:end])]


def _range(places: Sequence[Span], start: int, end: int, label: str) -> TokenRange:
    covered = [i for i, p in enumerate(places) if start <= p.start and p.end <= end]
    return TokenRange(covered[0], covered[-1] + 1, label)


def _levels(ranges: Iterable[TokenRange]) -> list[list[TokenRange]]:
    """The ranges spread over as few levels as needed, longer ones first, none overlapping in its level."""
    levels: list[list[TokenRange]] = [[]]
    for current in sorted(set(ranges), key=lambda r: (r.first - r.end, r.first, r.label)):
        free = (level for level in levels if all(r.end <= current.first or current.end <= r.first for r in level))
        level = next(free, None)
        if level is None:
            level = []
            levels.append(level)
        level.append(current)
    return levels
