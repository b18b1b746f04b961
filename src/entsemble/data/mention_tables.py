"""Results as rows: one for each mention, or one for each name."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from entsemble._lib.text import name_key
from entsemble.data.windows import sentence_spans
from entsemble.types import Document, Mention, Span

Cell = str | int | float | None
Rows = Iterable[Sequence[Cell]]

MENTION_HEADER = ("file", "page", "sentence", "start", "end", "text", "label", "score", "votes")
NAME_HEADER = ("name", "mentions", "labels", "variants", "files")

_MAX_SENTENCE = 500
"""Characters; of a longer sentence, the part around the mention is given."""

_MAX_LISTED = 50
"""Variants or files in a cell; of others only the number is given."""


def mention_rows(documents: Iterable[Document]) -> Iterator[Sequence[Cell]]:
    """The header, and a row for each mention; `file` is the id of a document whose meta has no file."""
    yield MENTION_HEADER
    for document in documents:
        sentences = sentence_spans(document.text) if document.mentions else []
        for mention in document.mentions:
            yield (
                _file(document),
                _page(document),
                _sentence(document.text, sentences, mention),
                mention.start,
                mention.end,
                mention.text,
                mention.label,
                None if mention.score is None else round(mention.score, 4),
                "; ".join(f"{member}: {label}" for member, label in mention.votes.items()),
            )


def name_rows(documents: Iterable[Document]) -> Iterator[Sequence[Cell]]:
    """The header, and a row for each name, the most frequent first; names that differ as in `name_key` are one."""
    names: dict[str, _Name] = {}
    for document in documents:
        for mention in document.mentions:
            name = names.setdefault(name_key(mention.text), _Name())
            name.variants[" ".join(mention.text.split())] += 1
            name.labels[mention.label] += 1
            name.files[_file(document)] += 1
    yield NAME_HEADER
    for name in sorted(names.values(), key=lambda name: -name.variants.total()):
        [(most_frequent, _)] = name.variants.most_common(1)
        yield (
            most_frequent,
            name.variants.total(),
            _listed(name.labels),
            _listed(name.variants),
            _listed(name.files),
        )


@dataclass(slots=True)
class _Name:
    """How often a name was found as each variant, with each label, in each file."""

    variants: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)


def _listed(counts: Counter[str]) -> str:
    """`Oslo (3); OSLO (1)`."""
    listed = [f"{value} ({count})" for value, count in counts.most_common(_MAX_LISTED)]
    more = [f"{len(counts) - _MAX_LISTED:,} more"] if len(counts) > _MAX_LISTED else []
    return "; ".join(listed + more)


def _file(document: Document) -> str:
    file = document.meta.get("file")
    return file if isinstance(file, str) else document.id


def _page(document: Document) -> Cell:
    page = document.meta.get("page")
    return page if isinstance(page, (int, str)) else None


def _sentence(text: str, sentences: Sequence[Span], mention: Mention) -> str:
    """The sentence of a mention on one line, or the sentences that it spans."""
    first = max(bisect_right(sentences, mention.start, key=lambda sentence: sentence.start) - 1, 0)
    start, end = mention.start, mention.end
    for sentence in sentences[first:]:
        if sentence.start < mention.end:
            start, end = min(start, sentence.start), max(end, sentence.end)
    if end - start > _MAX_SENTENCE:
        margin = max(_MAX_SENTENCE - (mention.end - mention.start), 0) // 2
        start, end = max(start, mention.start - margin), min(end, mention.end + margin)
    return " ".join(text[start:end].split())
