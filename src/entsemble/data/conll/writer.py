"""Writes CoNLL: token, TAB, and a column of IOB2 tags per level of nesting, the outermost first.

A document with tokens is one sentence. Others are split into sentences that split no mention, and into words: runs of
letters and digits, perhaps with hyphens and apostrophes in them, single punctuation characters, single characters of
scripts without spaces. Mentions always start and end at a word boundary, so none is lost. Of the text, only the
whitespace is lost. CoNLL cannot store scores, votes and meta.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, zip_longest
from tempfile import TemporaryFile
from typing import TextIO

from entsemble._lib.cancellation import until_cancelled
from entsemble._lib.text import UNSPACED_SCRIPTS
from entsemble.data.conll import layout, reader, tags
from entsemble.data.conll.layout import DOCUMENT_MARKER
from entsemble.data.conll.tags import TokenRange
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.data.windows import split_document
from entsemble.errors import DataError, warn
from entsemble.types import Document, Span

_LETTERS = rf"(?:(?![{UNSPACED_SCRIPTS}])[\w\u0300-\u036f\u0900-\u0dff\u200c\u200d])+"
_WORD = re.compile(
    rf"[{UNSPACED_SCRIPTS}][\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\ufe00-\ufe0f]*"
    rf"|{_LETTERS}(?:(?:[-'\u2019./@_&]|(?<=\d),(?=\d)){_LETTERS})*"
    r"|\S"
)
_UNWRITABLE = re.compile(r"[\t\n\r]|^\s|\s$|^$")
_MAX_LEVELS = 100
"""Levels of nesting; each is a column, so that a file grows with their product with the words."""


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """All documents; one that was split into sentences is preceded by a `-DOCSTART-` line with its id.

    What was written is read back, and a warning says how many documents are not the same then.

    Raises:
        DataError: a label contains a TAB or a line end, or begins or ends with a space; a mention is blank; more than a
            hundred mentions overlap at one word; or a word cannot be told from a tag.
    """
    digests: list[bytes] = []
    with (
        TemporaryFile("w+", encoding="utf-8", newline="\n") as unpadded,
        TemporaryFile("w+", encoding="utf-8", newline="\n") as padded,
    ):
        max_levels = _write_rows(documents, unpadded, digests)
        if digests and not max_levels:
            raise DataError("no document has a word, and CoNLL stores words only; write another format")
        unpadded.seek(0)
        for line in until_cancelled(unpadded):
            row = line.rstrip("\n")
            missing_levels = max_levels - row.count("\t") if row else 0
            padded.write(row + "\tO" * missing_levels + "\n")
        padded.seek(0)
        shutil.copyfileobj(padded, stream)
        padded.seek(0)
        _warn_of_changes(digests, Source.from_stream(padded, "what was written"))


def _write_rows(documents: Iterable[Document], stream: TextIO, digests: list[bytes]) -> int:
    """Write the rows of all documents, and append their digests.

    Returns:
        The number of levels of nesting, 0 if there is no word.
    """
    max_levels, follows_id = 0, False
    for document in documents:
        digests.append(_digest(document))
        if not document.tokens or follows_id:
            follows_id = not document.tokens
            stream.write(layout.marker_row(document.id if follows_id else None) + "\n\n")
        for row in until_cancelled(_rows(document)):
            max_levels = max(max_levels, row.count("\t"))
            stream.write(row + "\n")
    return max_levels


def _digest(document: Document) -> bytes:
    """A checksum of a document's text and mentions."""
    mentions = sorted({(mention.start, mention.end, mention.label) for mention in document.mentions})
    return hashlib.blake2b(repr((document.text, mentions)).encode(), digest_size=16).digest()


def _warn_of_changes(digests: Sequence[bytes], source: Source) -> None:
    """Warn if documents with these digests are not the same when they are read back."""
    if not digests:
        return
    try:
        changed_count = sum(
            digest != (_digest(document) if document else None)
            for digest, document in zip_longest(digests, reader.read(source, ReadOptions()))
        )
    except DataError as error:
        raise DataError(f"CoNLL cannot store these documents: {error.problem}; write another format") from error
    if changed_count:
        noun = "document is" if len(digests) == 1 else "documents are"
        message = f"{changed_count:,} of {len(digests):,} {noun} not quite the same when read back"
        warn(f"{message}, because CoNLL does not store the whitespace between words")


def split_words(text: str, edges: Iterable[int] = ()) -> list[Span]:
    """The words of a text of any script, none of which crosses one of the offsets in `edges`."""
    boundaries = sorted({0, len(text), *edges})
    return [
        Span(start + match.start(), start + match.end())
        for start, end in until_cancelled(pairwise(boundaries))
        for match in _WORD.finditer(text[start:end])
    ]


def _rows(document: Document) -> Iterator[str]:
    for mention in document.mentions:
        if not mention.text.strip():
            raise DataError(f"document {document.id!r}: a blank {mention.label} cannot be written as CoNLL")
        if _UNWRITABLE.search(mention.label):
            problem = f"document {document.id!r}: CoNLL cannot store the label {mention.label!r}"
            raise DataError(f"{problem}; rename it without TABs, line ends, and spaces around it")
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
    levels = _nesting_levels(ranges)
    if len(levels) > _MAX_LEVELS:
        problem = f"document {document.id!r}: more than {_MAX_LEVELS} mentions overlap"
        raise DataError(f"{problem}, which is too much for columns; write another format")
    tag_columns = [tags.encode(level, len(token_spans)) for level in until_cancelled(levels)]
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
        start = max(position, token.start)
        for first, end in pairwise(
            [start, *(start + edge for edge in _inner_edges(edges, start, token.end)), token.end]
        ):
            spans += _writable_spans(text, first, end)
        position = max(position, token.end)
    words = split_words(text[position:], _inner_edges(edges, position, len(text)))
    return spans + [word.shifted(position) for word in words]


def _inner_edges(edges: Sequence[int], start: int, end: int) -> list[int]:
    """The edges between two offsets, counted from the first; the edges are sorted."""
    return [edge - start for edge in edges[bisect_right(edges, start) : bisect_left(edges, end)]]


def _writable_spans(text: str, start: int, end: int) -> list[Span]:
    """A token without surrounding whitespace, split at TABs and line ends in it, and where it is a document marker."""
    if text[start:end].strip().startswith(DOCUMENT_MARKER):
        start = text.index(DOCUMENT_MARKER, start)
        return [Span(start, start + 1), *_writable_spans(text, start + 1, end)]
    matches = re.finditer(r"\S(?:[^\t\n\r]*\S)?", text[start:end])
    return [Span(start + match.start(), start + match.end()) for match in matches]


def _nesting_levels(ranges: Iterable[TokenRange]) -> list[list[TokenRange]]:
    """The ranges on as few levels as possible, longer ones first; the ranges of a level are sorted and do not overlap.

    Levels beyond the limit are not all filled.
    """
    levels: list[list[TokenRange]] = [[]]
    for current in until_cancelled(
        sorted(set(ranges), key=lambda item: (item.first - item.end, item.first, item.label))
    ):
        for level in levels:
            position = bisect_left(level, current)
            follows = position == 0 or level[position - 1].end <= current.first
            if follows and (position == len(level) or current.end <= level[position].first):
                level.insert(position, current)
                break
        else:
            levels.append([current])
        if len(levels) > _MAX_LEVELS:
            break
    return levels
