"""Same name, same answer: a name has one label wherever it occurs in a document."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace

from entsemble._lib.text import word_spans
from entsemble.ner.rules import normalized
from entsemble.types import Document, Mention, Span

_MIN_SHARE = 2 / 3
"""Share of a name's occurrences that must be mentions for the others to become mentions."""


def unify_answers(document: Document) -> Document:
    """The document in which every name has its most probable label, at every occurrence.

    The most probable label of a name is that with the highest sum of scores. If at least two thirds of its occurrences
    are mentions, the others become mentions too, with the mean score and no votes, unless they overlap a mention.

    Args:
        document: with mentions that have scores.
    """
    mentions_by_name: dict[str, list[Mention]] = defaultdict(list)
    for mention in document.mentions:
        mentions_by_name[normalized(mention.text)].append(mention)
    labels = {name: _most_probable_label(mentions) for name, mentions in mentions_by_name.items()}
    unified = [replace(mention, label=labels[normalized(mention.text)]) for mention in document.mentions]
    is_taken = bytearray(len(document.text))
    for mention in unified:
        is_taken[mention.start : mention.end] = b"\1" * (mention.end - mention.start)
    occurrences = _Occurrences(document.text)
    for name in sorted(mentions_by_name, key=lambda name: (-len(name), name)):
        mentions = mentions_by_name[name]
        missed = [span for span in occurrences.of(name) if not any(is_taken[span.start : span.end])]
        if len(mentions) < _MIN_SHARE * (len(mentions) + len(missed)):
            continue
        scores = [mention.score for mention in mentions if mention.label == labels[name] and mention.score is not None]
        score = round(sum(scores) / len(scores), 4) if scores else None
        for span in missed:
            unified.append(Mention(span.start, span.end, labels[name], span.slice(document.text), score))
            is_taken[span.start : span.end] = b"\1" * len(span)
    return replace(document, mentions=tuple(sorted(unified, key=lambda mention: (mention.start, -mention.end))))


def _most_probable_label(mentions: Sequence[Mention]) -> str:
    totals: Counter[str] = Counter()
    for mention in mentions:
        totals[mention.label] += mention.score or 0  # type: ignore[assignment]
    return max(totals, key=totals.__getitem__)


class _Occurrences:
    """Finds names of whole words in a text, in time that grows with their number and not with the text's length."""

    def __init__(self, text: str) -> None:
        self._words = [(span, span.slice(text)) for span in word_spans(text)]
        self._positions: dict[str, list[int]] = defaultdict(list)
        for position, (_, word) in enumerate(self._words):
            self._positions[word].append(position)

    def of(self, name: str) -> list[Span]:
        """The occurrences of a name, from left to right."""
        words = [span.slice(name) for span in word_spans(name)]
        spans = []
        for position in self._positions.get(words[0], ()) if words else ():
            following = self._words[position : position + len(words)]
            if [word for _, word in following] == words:
                spans.append(Span(following[0][0].start, following[-1][0].end))
        return spans
